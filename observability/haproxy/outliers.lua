-- Which replicas get no requests because they fail; pure, applied by ejection.lua.
--
-- A replica that answers errors at once is always free, so it attracts the traffic. An error may also be caused by the
-- request, or be everybody's: then errors fall on all replicas alike. So a replica is ejected if at least half of its
-- answers are errors, and so many of all errors would hardly be its by chance (Fisher's exact test). It is tried again
-- after a pause that doubles.
local FAILURES = 5 -- at least, before a replica is judged
local CHANCE = 1e-6
local TRIAL_FAILURES = 2 -- the same while a replica that was ejected is tried again
local TRIAL_ANSWERS = 10 -- good ones, after which its trial has passed
local PAUSE_SECONDS, MAX_PAUSE_SECONDS = 5, 300
local MAX_SHARE = 1 / 2 -- of the replicas that are up
local MAX_FAILURES = 1000 -- after so many without a judgement, counting begins anew

outliers = {} -- a global: the tests call it

-- Stirling's series: the error is below 0.0003 for n = 1, and less for larger n.
local function log_factorial(n)
    return n < 1 and 0 or n * math.log(n) - n + math.log(2 * math.pi * n) / 2 + 1 / (12 * n) - 1 / (360 * n ^ 3)
end

local function log_choose(n, k)
    return log_factorial(n) - log_factorial(k) - log_factorial(n - k)
end

-- The probability that at least `failed` of a replica's answers are errors, if all errors fall on answers by chance.
-- It stops adding up at 1 %.
function outliers.chance(failed, good, others_failed, others_good)
    local answers, all_failed = failed + good, failed + others_failed
    local all = all_failed + good + others_good
    local sum = 0
    for errors = failed, math.min(answers, all_failed) do
        sum = sum + math.exp(log_choose(all_failed, errors) + log_choose(all - all_failed, answers - errors)
            - log_choose(all, answers))
        if sum > 0.01 then
            break
        end
    end
    return sum
end

-- How many of the replicas that are up may be ejected.
local function most(up)
    return math.floor(up * MAX_SHARE)
end

-- The state of one gateway. A replica is a table: its `name`, its `identity`, which changes if another one gets that
-- name, and how many `good` answers it has given; `up` is a list of those that pass their checks.
function outliers.new()
    local state = { records = {}, failed = 0, ejected = 0 }

    local function record(replica)
        local found = state.records[replica.name]
        if not found or found.identity ~= replica.identity then
            if found and found.until_time then
                state.ejected = state.ejected - 1
            end
            found = { identity = replica.identity, failed = 0, ejections = 0 }
            state.records[replica.name] = found
        end
        return found
    end

    -- A replica answered with an error, `good` answers came from all replicas, and `up` are up, with the ejected ones.
    -- Returns what to say if it has to be ejected.
    function state.failure(replica, good, up, now)
        local own = record(replica)
        if own.until_time then
            return nil -- the request was in progress when the replica was ejected
        end
        state.failed = state.failed + 1
        if own.trial and replica.good - own.trial >= TRIAL_ANSWERS then
            own.trial, own.ejections = nil, 0
        end
        -- Counted from the error before which at least half of the answers were good (a CUSUM that restarts at zero).
        if own.failed == 0 or own.failed >= MAX_FAILURES or replica.good - own.good > own.failed then
            own.failed, own.good, own.all_good, own.all_failed = 0, replica.good, good, state.failed - 1
        end
        own.failed = own.failed + 1
        if own.failed < (own.trial and TRIAL_FAILURES or FAILURES) or state.ejected + 1 > most(up) then
            return nil
        end
        local own_good = replica.good - own.good
        local others_failed = state.failed - own.all_failed - own.failed
        local others_good = math.max(0, good - own.all_good - own_good)
        if own_good > own.failed then
            return nil
        elseif own.trial then
            if others_failed > others_good then
                return nil
            end
        -- With many errors not at each of them: the more often a test is repeated, the more often it errs.
        elseif own.failed % math.max(1, own.failed // 10) ~= 0
            or outliers.chance(own.failed, own_good, others_failed, others_good) >= CHANCE then
            return nil
        end
        local pause = math.min(PAUSE_SECONDS * 2 ^ own.ejections, MAX_PAUSE_SECONDS)
        own.ejections, own.until_time, own.trial = own.ejections + 1, now + pause, nil
        state.ejected = state.ejected + 1
        return string.format(
            "gets no requests for %d s: %d of its last %d answers were errors, and of the others' %d at that time %d were",
            pause, own.failed, own.failed + own_good, others_failed + others_good, others_failed)
    end

    local function restore(name, forgotten)
        local own = state.records[name]
        own.until_time, own.failed = nil, 0
        state.ejected = state.ejected - 1
        if forgotten then
            state.records[name] = nil
        end
    end

    local function all_fail(up)
        for _, replica in ipairs(up) do
            local own = state.records[replica.name]
            local fails = own and own.identity == replica.identity and own.failed >= FAILURES
                and replica.good - own.good <= own.failed
            if not (own and own.until_time) and not fails then
                return false
            end
        end
        return true
    end

    -- Returns, by name, why replicas get requests again.
    function state.returns(up, now)
        local returned, present = {}, {}
        if state.ejected == 0 then
            return returned
        end
        for _, replica in ipairs(up) do
            present[replica.name] = replica
        end
        local ejected = {}
        for name, own in pairs(state.records) do
            local replica = present[name]
            if own.until_time and not (replica and replica.identity == own.identity) then
                returned[name] = "is stopped, or another replica"
                restore(name, true)
            elseif own.until_time and now >= own.until_time then
                returned[name] = "is tried again"
                restore(name, false)
                own.trial = replica.good
            elseif own.until_time then
                table.insert(ejected, name)
            end
        end
        local everybody = #ejected < #up and all_fail(up)
        table.sort(ejected, function(a, b)
            return state.records[a].until_time < state.records[b].until_time
        end)
        for _, name in ipairs(ejected) do
            if everybody or state.ejected > most(#up) then
                returned[name] = everybody and "gets requests again: the others fail, too"
                    or "gets requests again: too few others are left"
                restore(name, true)
            end
        end
        return returned
    end

    return state
end
