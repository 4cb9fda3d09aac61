-- The moment of the call (part of append.lua): Redis's clock, its run_id, and in `floorMs` the caller's floor of entry ids where
-- the clock is behind it. ARGV[1] is that floor, ms.
local clock = redis.call('TIME')
local nowUs = clock[1] * 1000000 + clock[2]
local nowText = format('%.0f', nowUs)
local info = redis.call('INFO', 'server')
local _, runAt = string.find(info, 'run_id:', 1, true)
local run = string.sub(info, runAt + 1, runAt + 40)
local floorMs = nowUs < ARGV[1] * 1000 and ARGV[1] or nil
