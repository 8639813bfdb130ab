-- Lets requests wait in the queue of backend `model` while no replica is up. HAProxy answers 503 at once if a
-- backend has no server, and queues if every server is full. So there is one more server, a backup, which
-- takes one request at a time; and this keeps that one taken, for as long as HAProxy runs.
--
-- TIDEGATE_PLUG is the address at which the request that takes it comes in.
local PLUG_ADDRESS = os.getenv("TIDEGATE_PLUG")
local POLL_MS = 100
local NO_LIMIT_SECONDS = 24 * 86400
local PLUG = "plug" -- the Host of the request that takes the server; no client's comes this way
local MODEL = "model"
local WAITING = "waiting" -- the server

local function stopping()
    return core.get_info().Stopping ~= 0
end

-- The server: it answers the plug when HAProxy stops, for which HAProxy waits. Whoever else comes here, in
-- the moment before the plug is in place, is sent back to the queue, which a 503 does (`retry-on`); not at
-- once, so that the plug is next.
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
        core.msleep(1) -- whatever goes wrong must not become a busy loop
    end
end)

-- How many replicas are up. HAProxy's own `nbsrv` counts the backup if there is none.
core.register_fetches("replicas_up", function()
    local model = core.proxies[MODEL]
    if model.get_srv_act then
        return model:get_srv_act()
    end
    local up = 0 -- HAProxy 2.6 has no such count
    for name, server in pairs(model.servers) do
        if name ~= WAITING and server:get_stats().status:find("^UP") then
            up = up + 1
        end
    end
    return up
end)
