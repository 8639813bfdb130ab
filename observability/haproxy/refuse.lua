-- Answers what the gateway refuses because of its body, after the body has been read and dropped. HAProxy's own
-- `return` answers at once and closes with the body unread; the reset that follows makes many clients report a
-- broken pipe instead of the answer (20 of 20 tries with Python's http.client, HAProxy 2.8).
local MOST_BYTES = 64 * 1024 * 1024 -- a client that sends more than this does not read the answer
local CHUNK_BYTES = 16384 -- held for each such request at most

core.register_service("refuse", "http", function(applet)
    local left = MOST_BYTES
    while left > 0 do
        local chunk = applet:receive(CHUNK_BYTES)
        if #chunk == 0 then
            break
        end
        left = left - #chunk
    end
    local answer = applet:get_var("txn.refusal")
    local retry_after = applet:get_var("txn.retry_after")
    applet:set_status(tonumber(applet:get_var("txn.refusal_status")))
    applet:add_header("Content-Type", "application/json")
    applet:add_header("Content-Length", tostring(#answer))
    if retry_after then
        applet:add_header("Retry-After", tostring(retry_after))
    end
    applet:start_response()
    applet:send(answer)
end)
