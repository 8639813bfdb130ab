-- What follows when a replica ends a connection without an answer; run from the rules on its response.
--
-- The replica is taken out until its next good check: where the process died, its other connections are as dead, and
-- the repeated request must not be sent on one of them. At the second time for one request, the client gets a
-- 502. (HAProxy's own `reject` would close its connection without an answer.)
local BODY = os.getenv("TIDEGATE_BROKEN_OFF")
local MODEL = "model"
local REPLICA = "^model%d+$" -- not the server `waiting`, which has no checks that would bring it back
local MOST_TIMES = 2

core.register_action("broke_off", { "tcp-res" }, function(txn)
    if not txn.req:may_recv() then
        return -- the client left, which ends the replica's connection too
    end
    local name = txn.sf:srv_name()
    if name:match(REPLICA) then
        core.backends[MODEL].servers[name]:check_force_down()
    end
    if txn:get_var("txn.broken") < MOST_TIMES then
        return
    end
    local reply = txn:reply({ status = 502 })
    reply:add_header("Content-Type", "application/json")
    reply:add_header("Content-Length", tostring(#BODY))
    reply:set_body(BODY)
    txn:done(reply)
end)
