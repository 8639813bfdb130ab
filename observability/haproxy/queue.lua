-- Refuses a request at once if its answer would come too late; runs from the rules of backend `model`.
--
-- By Little's law a request is answered after the time in which as many requests leave as are in the system when it
-- comes. How fast they leave is measured: each request that waited knows how many were in the system, and its time.
local REPLICAS = tonumber(os.getenv("TIDEGATE_QUEUE_REPLICAS")) -- no more will come
local QUEUE_SECONDS = tonumber(os.getenv("TIDEGATE_QUEUE_SECONDS"))
local LATE_SECONDS = math.min(QUEUE_SECONDS, tonumber(os.getenv("TIDEGATE_QUEUE_LATE_SECONDS")))
local START_SECONDS = tonumber(os.getenv("TIDEGATE_QUEUE_START_SECONDS")) -- maximum time until a lost replica is back
local RETRY_AFTER = tonumber(os.getenv("TIDEGATE_QUEUE_RETRY_AFTER"))
local MODEL = "model"
local PLUG = 1 -- the request of waiting.lua, which stays in the system
local WEIGHT = 1 / 8 -- of a new measurement
local SHOWN_SECONDS = 30 -- how long at least a rate counts as possible
local ARRIVALS_SECONDS = tonumber(os.getenv("TIDEGATE_QUEUE_ARRIVALS_SECONDS")) -- of backend `model`'s stick table
local POLL_MS = 1000

local all_up_at = -math.huge -- the second in which all replicas were up last
local late_at = -math.huge -- the second in which a request was expected to miss the objective last
local helped_at = -math.huge -- the second in which that began, or in which most_up grew since
local most_up = 0
local interval -- seconds between two requests that leave one replica; nil until it is measured
local shortest -- its minimum in this period of SHOWN_SECONDS
local shortest_before -- and in the one before
local period_began = -math.huge

local function now_us()
    local now = core.now()
    return now.sec * 1000000 + now.usec
end

local function remember(up)
    if up >= REPLICAS then
        all_up_at = core.now().sec
    end
    if up > most_up then
        most_up, helped_at = up, core.now().sec
    end
end

-- The requests that wait tell it, but all replicas may have been up without a queue.
core.register_task(function()
    while true do
        remember(replicas_up())
        core.msleep(POLL_MS)
    end
end)

-- Whether a request that comes now is expected to be answered too late.
local function too_late(in_system, up, arrivals)
    local wait, now, possible = in_system * interval / up, core.now().sec, REPLICAS
    if wait <= LATE_SECONDS then
        return false
    end
    if now - late_at > ARRIVALS_SECONDS then
        most_up, helped_at = up, now
    end
    late_at = now
    -- A replica that is missing for a moment (a crash, a failed connection), or was scaled in just now, is back soon.
    if now - all_up_at > START_SECONDS then
        -- Further replicas come within START_SECONDS after the overload began or the last one came, or not at all. While
        -- they may come, requests wait that all of them would answer in time.
        if now - helped_at <= START_SECONDS then
            return in_system * interval / REPLICAS > QUEUE_SECONDS
        end
        possible = up
    end
    -- If less arrives than the replicas have shown that they answer, and the queue will be gone within QUEUE_SECONDS, it
    -- is a burst, from before the last replica came, or from a moment in which they stood still.
    local capacity = possible / math.min(shortest, shortest_before or shortest)
    return wait > QUEUE_SECONDS or in_system >= (capacity - arrivals) * QUEUE_SECONDS
end

-- When the client should try again: after what is in the system now, half as long to one and a half times as long, so
-- that not all that were refused come back together.
core.register_fetches("retry_after", function(txn)
    local up = replicas_up()
    local wait = interval and up > 0 and (txn.f:be_conn(MODEL) - PLUG) * interval / up or 0
    wait = math.max(RETRY_AFTER, math.min(QUEUE_SECONDS, wait))
    return math.floor(wait * (0.5 + txn.f:rand(1001) / 1000) + 0.5)
end)

-- Runs if the time for a measurement has come, or the queue may be too long.
core.register_action("queue", { "http-req" }, function(txn)
    local up = replicas_up()
    if up == 0 then
        return
    end
    remember(up)
    local in_system = txn.f:be_conn(MODEL) - PLUG -- with this request
    -- One request for each slot may always wait: its time is the next measurement, if the last one was wrong. With this
    -- request, as many are in the slots as the replicas have now; slots change while the gateway runs.
    local queue = txn.f:queue(MODEL)
    if interval and queue >= in_system - queue and not txn:get_var("txn.exempt") then
        -- During a burst the rate of the last second alone would be above the capacity at any load.
        local arrivals = txn.f:sc2_http_req_rate() / ARRIVALS_SECONDS
        if too_late(in_system, up, arrivals) then
            txn:set_var("txn.reason", '"overload"')
            return
        end
    end
    if txn:get_var("txn.measure") then
        txn:set_var("proc.measured_at", txn.f:date(0, "ms")) -- the clock of the rule that compares it
        txn:set_var("txn.up", up)
        txn:set_var("txn.ahead", in_system)
        txn:set_var("txn.entered", now_us())
    end
end)

-- A replica answers a request that waited, and the number of replicas is what it was when the request came.
core.register_action("leave", { "http-res" }, function(txn)
    local seconds = math.max(1, now_us() - txn:get_var("txn.entered")) / 1000000
    local measured = seconds * txn:get_var("txn.up") / txn:get_var("txn.ahead")
    interval = interval and interval + WEIGHT * (measured - interval) or measured
    if core.now().sec - period_began > SHOWN_SECONDS then
        period_began, shortest_before, shortest = core.now().sec, shortest, interval
    end
    shortest = math.min(shortest, interval)
    -- For each replica that is up, so many in the system are not too many by any limit.
    txn:set_var("proc.enough", math.floor(LATE_SECONDS / interval))
end)
