-- Refuses a request whose body is not read yet, after it has read and dropped the body. HAProxy's own `return` responds at
-- once and closes the connection with the body unread; the TCP reset makes many clients report a broken pipe
-- instead of the response (20 of 20 tries with Python's http.client, HAProxy 2.8).
local MAX_BYTES = 64 * 1024 * 1024 -- a client that sends more gets a reset instead of the response
local CHUNK_BYTES = 16384 -- the maximum memory of one such request

core.register_service("refuse", "http", function(applet)
    local remaining = MAX_BYTES
    while remaining > 0 do
        local chunk = applet:receive(CHUNK_BYTES)
        if #chunk == 0 then
            break
        end
        remaining = remaining - #chunk
    end
    local body = applet:get_var("txn.refusal")
    local retry_after = applet:get_var("txn.retry_after")
    applet:set_status(tonumber(applet:get_var("txn.refusal_status")))
    applet:add_header("Content-Type", "application/json")
    applet:add_header("Content-Length", tostring(#body))
    if retry_after then
        applet:add_header("Retry-After", tostring(retry_after))
    end
    applet:start_response()
    applet:send(body)
end)
