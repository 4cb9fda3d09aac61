#!lua
--[[
commit: changes the snapshot records of instruments and everything that must move together with them, or nothing.

For each instrument: compare what the caller built on with what stands there; then the fused entry, the changed levels, the
record's head and its time to live, the conductor's places in the source streams. Lua in Redis is not rolled back: an
instrument that errs takes its entry out again, and its record, if it was touched, is removed whole: a record can be
rebuilt from the stream, a torn one would be believed. It harms no other instrument.

KEYS    three an instrument: state hash, book hash, ANALYTICS stream; after them the bells that the instruments name.
ARGV    floorMs (no entry of a new epoch gets an id below it), number of instruments, run_id under which the caller read
        ('' for whatever it is), run_id of the process that runs this as the caller's connection knows it ('' to ask: INFO costs
        a tenth of a commit), then for each instrument 22 fields, its removed fields, and its levels as field, value:
          number of its bell, market, instrument;
          expected version ('' any), expected record: "<epoch> <streamId>", '-' for none there, '*' to replace whatever is there,
            'skip' to leave the record alone;
          floor of the version (the greatest the caller was ever told), max length of the stream or '';
          carried (text kept in the state, '' to leave it);
          time to live ms, epoch, seq and streamId of the last ORDERBOOK entry inside, its venueSeq, updatedAt us, quality;
          the entry's quality, venueTime us, receivedTime us, trace, data ('' for no entry);
          number of removed fields, number of strings of the levels.
Returns a list: [1] milliseconds of the greatest entry id ('0' if none), then '!' and the error if a bell failed; then a text
        for each instrument: "k <version> <epoch> <seq>" committed; "c" conflict; 'u' (the record cannot be used) or 'e', a
        line feed, and the error.

State hash: run, epoch and since as append has them; ANALYTICS "<seq> <epoch> <version>"; conductor. The version also stands there because
the record expires and its numbers may not come round again.
]]
local command, ARGV, KEYS = redis.pcall, ARGV, KEYS
local tonumber, type, format = tonumber, type, string.format

local BELL_LENGTH = 1000
-- `unpack` has room for about 8,000.
local STRINGS_AT_ONCE = 4000

local run = ARGV[4]
if run == '' then run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') end

-- Redis's clock, and the caller's floor of entry ids where the clock is behind it. Only where an epoch begins does an entry need
-- them, and every commit would pay for them.
local nowUs, floorMs
local function readClock()
  local clock = redis.call('TIME')
  nowUs = clock[1] * 1000000 + clock[2]
  floorMs = nowUs < ARGV[1] * 1000 and ARGV[1] or nil
end

local g

-- @include shared/entry.lua

local function writeRecord(at, version, replaces)
  g.touched = true
  if replaces then must('UNLINK', g.book) end
  local removed, strings = tonumber(ARGV[at + 20]), tonumber(ARGV[at + 21])
  local from, to = at + 22, at + 21 + removed
  while from <= to do
    local last = math.min(to, from + STRINGS_AT_ONCE - 1)
    must('HDEL', g.book, unpack(ARGV, from, last))
    from = last + 1
  end
  to = from + strings - 1
  while to - from >= STRINGS_AT_ONCE do
    must('HSET', g.book, unpack(ARGV, from, from + STRINGS_AT_ONCE - 1))
    from = from + STRINGS_AT_ONCE
  end
  must('HSET', g.book, 'version', version, 'epoch', ARGV[at + 9], 'seq', ARGV[at + 10], 'streamId', ARGV[at + 11],
    'venueSeq', ARGV[at + 12], 'updatedAt', ARGV[at + 13], 'quality', ARGV[at + 14], unpack(ARGV, from, to))
  must('PEXPIRE', g.book, ARGV[at + 8])
end

local function commit(at)
  local found = must('HMGET', g.state, 'run', 'epoch', 'ANALYTICS')
  local seq, channelEpoch, was = string.match(found[3] or '0 - 0', '^(%S*) (%S*) (%S*)$')
  local wanted, record = ARGV[at + 3], ARGV[at + 4]
  if wanted ~= '' and wanted ~= was then return 'c' end
  local writes = record ~= 'skip'
  if writes then
    local there = command('HMGET', g.book, 'version', 'epoch', 'streamId')
    if there.err then return 'u\n' .. there.err end
    local key = there[1] and there[2] .. ' ' .. there[3] or '-'
    if record ~= '*' and (key ~= record or (there[1] and wanted ~= '' and there[1] ~= was)) then return 'c' end
  end
  g.epoch, g.seq, g.channelEpoch = found[2] or '', tonumber(seq), channelEpoch
  local begins = found[1] ~= run
  if begins or channelEpoch ~= g.epoch then readClock() end
  if begins then beginEpoch() end
  local version = format('%.0f', math.max(tonumber(was), tonumber(ARGV[at + 5])) + 1)
  if ARGV[at + 19] ~= '' then
    add('ANALYTICS.FUSED', version, version, ARGV[at + 16], ARGV[at + 17], 'conductor.fused', ARGV[at + 18], ARGV[at + 15], ARGV[at + 19])
  end
  if writes then
    g.failing = 'u'
    writeRecord(at, version, record == '*')
    g.failing = 'e'
  end
  local packed = format('%.0f', g.seq) .. ' ' .. g.channelEpoch .. ' ' .. version
  local carried = ARGV[at + 7]
  local more = {}
  if carried ~= '' then more = { 'conductor', carried } end
  if g.epochBegun then
    local n = #more
    more[n + 1], more[n + 2], more[n + 3], more[n + 4], more[n + 5], more[n + 6] = 'run', run, 'epoch', g.epoch, 'since', g.epoch
  end
  must('HSET', g.state, 'ANALYTICS', packed, unpack(more))
  return 'k ' .. version .. ' ' .. g.epoch .. ' ' .. format('%.0f', g.seq)
end

local groups = tonumber(ARGV[2])
local isSameRun = ARGV[3] == '' or ARGV[3] == run
local greatestMs = 0
local reply = { '0' }
local rings = {}
local at = 5
for number = 0, groups - 1 do
  g = {
    state = KEYS[number * 3 + 1], book = KEYS[number * 3 + 2], stream = KEYS[number * 3 + 3],
    market = ARGV[at + 1], instrument = ARGV[at + 2], maxLength = ARGV[at + 6], prefix = '', added = {}, failing = 'e',
  }
  local answer = 'c'
  if isSameRun then
    local ok, found = pcall(commit, at)
    answer = found
    if not ok then
      if g.added[1] then command('XDEL', g.stream, g.added[1]) end
      if g.touched then command('UNLINK', g.book) end
      answer = g.failing .. '\n' .. tostring(found)
    elseif g.added[1] then
      greatestMs = math.max(greatestMs, tonumber(string.match(g.added[1], '^%d+')))
      local bell = tonumber(ARGV[at])
      rings[bell] = (rings[bell] and rings[bell] .. ' ' or '') .. g.market .. ':' .. g.instrument .. ':ANALYTICS'
    end
  end
  reply[number + 2] = answer
  at = at + 22 + tonumber(ARGV[at + 20]) + tonumber(ARGV[at + 21])
end

local greatest = format('%.0f', greatestMs)
reply[1] = greatest
for bell, streams in pairs(rings) do
  local key = KEYS[groups * 3 + bell + 1]
  -- Nobody who heard the bell of another Redis process shall wait behind it: it rings neither before what the caller was told
  -- of nor before the entry it rings for. Where it rang later than that already, its own order will do.
  local atMs = greatestMs < tonumber(ARGV[1]) and ARGV[1] or greatest
  local rung = command('XADD', key, 'MAXLEN', '~', BELL_LENGTH, atMs .. '-*', 'streams', streams)
  if type(rung) ~= 'string' then rung = command('XADD', key, 'MAXLEN', '~', BELL_LENGTH, '*', 'streams', streams) end
  if type(rung) ~= 'string' then reply[1] = reply[1] .. '!' .. rung.err end
end
return reply
