-- Runs scenarios against outliers.lua; test_outliers.py writes them in front of this as the global `scenarios`.
--
-- A scenario has a `seed`, and `phases`. A phase has the probability of an error at each replica (`errors`), which of
-- them are `down`, which are `replaced` at its begin, and how many `requests` come. Requests go at random to those that
-- get some. Prints a line per scenario: ejections, errors until the first, errors in all, the number that is ejected at
-- the end, what was violated.
local SECONDS_PER_REQUEST = 0.05

local function up_list(replicas, down)
    local up = {}
    for index, replica in ipairs(replicas) do
        if not down[index] then
            table.insert(up, replica)
        end
    end
    return up
end

local function run(scenario)
    math.randomseed(scenario.seed)
    local state, replicas, ejected = outliers.new(), {}, {}
    local good, now, errors, ejections, first, violated = 0, 0, 0, 0, -1, "nothing"
    for index = 1, #scenario.phases[1].errors do
        replicas[index] = { name = "model" .. index, identity = "0", good = 0 }
    end
    for number, phase in ipairs(scenario.phases) do
        for _, index in ipairs(phase.replaced) do
            replicas[index].identity = tostring(number)
        end
        local up = up_list(replicas, phase.down)
        for _ = 1, phase.requests do
            now = now + SECONDS_PER_REQUEST
            for name in pairs(state.returns(up, now)) do
                ejected[name] = nil
            end
            local targets, out = {}, 0
            for _, replica in ipairs(up) do
                if ejected[replica.name] then
                    out = out + 1
                else
                    table.insert(targets, replica)
                end
            end
            local counted = 0
            for _ in pairs(ejected) do
                counted = counted + 1
            end
            if #up > 0 and #targets == 0 then
                violated = "the last replica is ejected"
            elseif out > #up / 2 then
                violated = "more than half are ejected"
            elseif counted ~= state.ejected or counted ~= out then
                violated = "the number of ejected ones is wrong"
            end
            if #targets == 0 then
                break
            end
            local replica = targets[math.random(#targets)]
            if math.random() < phase.errors[tonumber(replica.name:match("%d+"))] then
                errors = errors + 1
                if state.failure(replica, good, #up, now) then
                    ejected[replica.name] = true
                    ejections = ejections + 1
                    first = first < 0 and errors or first
                end
            else
                replica.good = replica.good + 1
                good = good + 1
            end
        end
    end
    print(string.format("%d %d %d %d %s", ejections, first, errors, state.ejected, violated))
end

for _, scenario in ipairs(scenarios or {}) do
    run(scenario)
end
for _, table_of_counts in ipairs(tables or {}) do
    print(string.format("%.12g", outliers.chance(table.unpack(table_of_counts))))
end
