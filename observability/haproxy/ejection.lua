-- Sends no requests to a replica that answers errors while the others do not (outliers.lua); runs from the backend's
-- response rules and in a task.
--
-- An ejected replica has the weight 0: `nbsrv` and haproxy_backend_active_servers do not count it. Its administrative
-- state and its slots are the supervisor's. Each change is an event on standard output, where access events are, too.
local FIELDS = os.getenv("TIDEGATE_EJECTION_FIELDS") -- the constant fields of the event, as JSON
local MODEL = "model"
local REPLICA = "^model%d+$" -- not the server `waiting`
local POLL_MS = 250

local state = outliers.new()
local wakes = {} -- by server, how often it was marked down by `wake`

local function good(stats)
    return (stats.hrsp_1xx or 0) + (stats.hrsp_2xx or 0) + (stats.hrsp_3xx or 0) + (stats.hrsp_4xx or 0)
end

-- Another replica gets a server's name by a new address, or after the last one went down.
local function replica(name, server, stats)
    local downs = stats.chkdown - (wakes[name] or 0)
    return { name = name, identity = server:get_addr() .. "/" .. downs, good = good(stats) }
end

-- HAProxy gives a server requests that wait when it comes up, but not when its weight rises: without another request to
-- start it, they would wait for ever.
local function wake(name, server)
    server:set_weight("100%")
    if server:get_stats().status:find("^UP") then
        server:check_force_down()
        server:check_force_up()
        wakes[name] = (wakes[name] or 0) + 1
    end
end

local function seconds()
    local now = core.now()
    return now.sec + now.usec / 1000000
end

local function report(action, level, name, text)
    local server = core.proxies[MODEL].servers[name]
    local address = server:get_addr()
    local now = core.now()
    local file = io.open("/proc/sys/kernel/random/uuid")
    local id = file and file:read("l") or string.format("%s-%d-%d", name, now.sec, now.usec)
    if file then
        file:close()
    end
    io.stdout:write(string.format(
        '{"@timestamp":"%s.%06dZ","message":"replica %s (%s) %s","log":{"level":"%s"},'
            .. '"event":{"id":"%s","dataset":"tidegate.stack","action":"%s"},'
            .. '"server":{"address":"%s"},"tidegate":{"component":"%s","gateway":{"server":"%s"}},%s}\n',
        os.date("!%Y-%m-%dT%H:%M:%S", now.sec), now.usec, name, address, text, level, id, action, address, name, name,
        FIELDS))
    io.stdout:flush()
end

core.register_action("failure", { "http-res" }, function(txn)
    local name = txn.sf:srv_name()
    if not name:match(REPLICA) then
        return
    end
    local model = core.proxies[MODEL]
    local server = model.servers[name]
    local up = replicas_up() + state.ejected
    local said = state.failure(replica(name, server, server:get_stats()), good(model:get_stats()), up, seconds())
    if said then
        server:set_weight("0%")
        report("eject", "warn", name, said)
    end
end)

core.register_task(function()
    while true do
        core.msleep(POLL_MS)
        if state.ejected > 0 then
            local servers, up = core.proxies[MODEL].servers, {}
            for name, server in pairs(servers) do
                local stats = name:match(REPLICA) and server:get_stats()
                if stats and stats.status:find("^UP") then
                    table.insert(up, replica(name, server, stats))
                end
            end
            for name, said in pairs(state.returns(up, seconds())) do
                wake(name, servers[name])
                report("return", "info", name, said)
            end
        end
    end
end)
