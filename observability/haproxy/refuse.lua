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
    -- A 503 is not sent: the configuration denies this response with one of its own.
    local body = applet:get_var("txn.refusal") or ""
    applet:set_status(tonumber(applet:get_var("txn.refusal_status") or 503))
    applet:add_header("Content-Type", "application/json")
    applet:add_header("Content-Length", tostring(#body))
    applet:start_response()
    applet:send(body)
end)
