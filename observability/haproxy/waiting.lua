-- Lets requests wait in the queue of backend `model` while no replica is up. HAProxy answers 503 at once if a
-- backend has no server, and queues requests if every server is full. So there is one more server, a backup with
-- maxconn 1; the plug, an internal request, occupies it for as long as HAProxy runs. It needs `option allbackups`: with
-- a single backup HAProxy queues in that server's own queue, which replicas do not take from (70 of 180 failed).
--
-- TIDEGATE_PLUG is the address of the frontend for the plug.
local PLUG_ADDRESS = os.getenv("TIDEGATE_PLUG")
local POLL_MS = 100
local NO_LIMIT_SECONDS = 24 * 86400
local PLUG = "plug" -- the Host of the plug; no client's request reaches this service
local MODEL = "model"

local function stopping()
    return core.get_info().Stopping ~= 0
end

-- The server: it answers the plug when HAProxy stops, because HAProxy waits for open requests. Another request that
-- arrives before the plug is in place gets a 503, which sends it back to the queue (`retry-on`); after a pause, so
-- that the plug is next.
core.register_service("waiting", "http", function(applet)
    local host = applet.headers["host"]
    repeat
        core.msleep(POLL_MS)
    until not (host and host[0] == PLUG) or stopping()
    applet:set_status(503)
    applet:add_header("Content-Length", "0")
    applet:start_response()
end)

core.register_task(function()
    while not stopping() do
        local socket = core.tcp()
        socket:settimeout(NO_LIMIT_SECONDS)
        if socket:connect(PLUG_ADDRESS) then
            socket:send("GET / HTTP/1.1\r\nHost: " .. PLUG .. "\r\n\r\n")
            socket:receive("*l")
        end
        socket:close()
        core.msleep(1) -- an error must not cause a busy loop
    end
end)

-- The number of replicas that are up and not ejected, also for queue.lua and ejection.lua. HAProxy's own `nbsrv` counts
-- the backup if there is none.
function replicas_up()
    return core.proxies[MODEL]:get_srv_act()
end

core.register_fetches("replicas_up", replicas_up)
