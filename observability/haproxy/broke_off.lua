-- Handles a replica that closes its connection without a response; runs from the backend's response rules.
--
-- The replica is marked down until its next successful check: if the process died, its other connections are dead
-- too, and the retry must not use one of them. When the request has no attempt left (txn.attempts), the client gets a
-- 502. HAProxy itself would close a client's connection that it has used before without a response and without an
-- access event, as its `reject` does.
local BODY = os.getenv("TIDEGATE_BROKEN_OFF")
local MODEL = "model"
local REPLICA = "^model%d+$" -- not the server `waiting`, which has no checks that would mark it up again

core.register_action("broke_off", { "tcp-res" }, function(txn)
    if not txn.req:may_recv() then
        return -- the client left, which closes the replica's connection too
    end
    local name = txn.sf:srv_name()
    if name:match(REPLICA) then
        core.backends[MODEL].servers[name]:check_force_down()
    end
    if txn:get_var("txn.broken") < txn:get_var("txn.attempts") then
        return
    end
    local reply = txn:reply({ status = 502 })
    reply:add_header("Content-Type", "application/json")
    reply:add_header("Content-Length", tostring(#BODY))
    reply:set_body(BODY)
    txn:done(reply)
end)
