#!lua
--[[
append: offers events to the channels of instruments; each is appended, or answered why not.

The script alone decides (DESIGN 4 and 5). It goes group by group, a group being one channel of one instrument: read the
state, apply the channel's rule to each offer, write the ledger, write the state. Lua in Redis is not rolled back, so a
group that fails takes its own entries out again, is answered `error`, and harms no other.

KEYS    three a group: state hash, stream, gap ledger zset; after them the bells that the groups name.
ARGV    floorMs (no entry of a new epoch gets an id below it), number of groups, then for each group
          10 fields: number of its bell, channel, market, instrument, epoch known to the caller, table version,
            numbering, quality, max length or '', number of offers;
          8 fields an offer: flags, id, first, venueTime us, receivedTime us, source, trace, data.
        flags: '' is the plain event of the channel; else a letter (N plain, S snapshot, R snapshot asked for as a refresh,
        G give up, L lost), or a letter, ':' and the cause of a gap that is to be declared.
Returns a list: [1] milliseconds of the greatest entry id ('0' if none), a space and run_id, then '!' and the error if a bell
        failed; then a text
        for each group of which there is more to say than that all was appended in the epoch the caller knew:
          "<group from 0> <epoch> <1 if begun by this call> <have> <1 if joined> <index><verdict>,...", where its ledger was at
          a bound followed by " <members dropped> <ranges closed as over-bound>"; of a group that failed and took back what
          it had added: "<group>", a line feed, and the error.
        Verdicts: d duplicate, g gap, e early, t gap told, r gap told and refused, and refused because
        u unjoined, s snapshot too old, v table version, o the caller knew an epoch before this Redis process, x error.

State hash: run, epoch, since (the epoch in which the Redis process of `run` began to write), reset (venue time of the last reset), one field a channel (`pack` below), KLINE:<interval> and
closed:<interval>, open:<CHANNEL> (the open ranges). Times in us. Numbers become text by %.0f: `..` loses digits from 1e14.

Redis runs this whole file at every call, and making a function costs about 1 us for each outer local it uses. So what a call
always needs stands here, with one table for the group in hand, and everything else is made when the first offer needs it.
]]
local command, ARGV, KEYS = redis.pcall, ARGV, KEYS
local tonumber, type, format = tonumber, type, string.format

-- A duplicate this much later than what we have may be the venue beginning anew.
local SUSPECT_AFTER_US = 60000000
local BELL_LENGTH = 1000

-- @include append/now.lua

-- The group in hand:
-- keys and fields of its header: state stream gaps channel market instrument quality maxLength
-- state of the instrument: epoch, and what a reset makes of its QUOTE channel: quotes
-- state of the channel: seq last (a number, `lastText` as it came) venueTime receivedTime generation channelEpoch openCount
--   joined gapTo (end of the last interruption told) snapLast snapReceived (the last snapshot); intervals of KLINE
-- what follows from it: prefix (of venueSeq in `key`), renumbered (the next trade opens another numbering)
-- what it did: added (entry ids), codes (of the reply), epochBegun, dirty (state to be written), more (other fields of it),
--   open (the open ranges once read), openChanged, closedPieces, removed (ledger members to go), dropped and overBound (how often
--   the ledger was at a bound)
local g

-- @include shared/entry.lua

local FIELDS = '^(%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*)$'
local function pack(seq, last, venueTime, receivedTime, generation, version, numbering, epoch, openCount, joined, gapTo, snapLast, snapReceived)
  return seq .. ' ' .. last .. ' ' .. venueTime .. ' ' .. receivedTime .. ' ' .. generation .. ' ' .. version .. ' ' .. numbering .. ' '
    .. epoch .. ' ' .. openCount .. ' ' .. joined .. ' ' .. gapTo .. ' ' .. snapLast .. ' ' .. snapReceived
end

-- Everything beyond the plain cases, made when it is first needed.
local function makeExceptions()
  local find, match, gmatch, concat, max = string.find, string.match, string.gmatch, table.concat, math.max
  local function text(number)
    return format('%.0f', number)
  end
  local function addGap(range, payload, at)
    add(g.channel .. '.GAP', range, range, '', ARGV[at + 4], 'dispatcher.gap', ARGV[at + 6],
      g.channel == 'ORDERBOOK' and 'GAPPED' or '', payload)
  end

  -- @include append/ledger.lua
  -- @include append/rules.lua
  -- @include append/klines.lua

  local rules = { TRADE = trade, QUOTE = newest, TICKER = newest, KLINE = kline, ORDERBOOK = book }
  return {
    offer = function(at, flags)
      local kind = string.sub(flags, 1, 1)
      if kind == 'G' then return giveUp(at) end
      if kind == 'L' then return lost(at, string.sub(flags, 3)) end
      return rules[g.channel](at, kind, string.sub(flags, 3))
    end,
    write = function()
      if g.openChanged or #g.closedPieces > 0 then
        g.dirty = true
        writeLedger()
      end
      writeQuotes()
      writeBars()
    end,
  }
end
local exceptions

-- Offers in order: the plain cases here, by the rules of append/rules.lua for events that fit or that are there already.
local function offerAll(at, count)
  local channel = g.channel
  local kind, word = channel, ''
  if channel == 'ORDERBOOK' then kind, word = 'ORDERBOOK.DELTA', g.quality end
  for index = 0, count - 1 do
    local flags, id = ARGV[at], ARGV[at + 1]
    local number = flags == '' and channel ~= 'KLINE' and g.lastText ~= '' and not g.renumbered and tonumber(id)
    local fits, old = false, false
    if number then
      local last = g.last
      if channel == 'TRADE' then
        fits = number == last + 1
      elseif channel == 'ORDERBOOK' then
        local first = tonumber(ARGV[at + 2])
        fits = g.joined and number > last and first and first <= last + 1
      else
        fits = number > last
      end
      if not fits and number <= last and g.openCount == 0 then
        local time, lastTime = tonumber(ARGV[at + 3]), tonumber(g.venueTime)
        old = not time or not lastTime or time <= lastTime + SUSPECT_AFTER_US
      end
    end
    if fits then
      add(kind, id, id, ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], word, ARGV[at + 7])
      g.last, g.lastText, g.venueTime, g.receivedTime = number, id, ARGV[at + 3], ARGV[at + 4]
    elseif old then
      g.codes[#g.codes + 1] = index .. 'd'
    else
      exceptions = exceptions or makeExceptions()
      local verdict = exceptions.offer(at, flags)
      if verdict then g.codes[#g.codes + 1] = index .. verdict end
    end
    at = at + 8
  end
end

-- Reads the state, offers, writes ledger and state. Errors are raised to the caller; what was added stands in `g.added`.
local function processGroup(at, count, known, version, numbering)
  local found = must('HMGET', g.state, 'run', 'epoch', g.channel)
  local packed = found[3]
  g.epoch = found[2] or ''
  local other = false
  if found[1] ~= run then
    beginEpoch()
    g.more[1], g.more[2] = 'since', g.epoch
    other = known ~= ''
  elseif known ~= '' and known ~= g.epoch then
    other = tonumber(known) < (tonumber(must('HGET', g.state, 'since')) or 0)
  end
  local versionWas, numberingWas = version, numbering
  if packed then
    local seq, generation, openCount, joined
    seq, g.lastText, g.venueTime, g.receivedTime, generation, versionWas, numberingWas, g.channelEpoch, openCount, joined, g.gapTo, g.snapLast, g.snapReceived =
      string.match(packed, FIELDS)
    g.seq, g.last, g.generation, g.openCount, g.joined =
      tonumber(seq), tonumber(g.lastText) or 0, tonumber(generation), tonumber(openCount), joined == '1'
    if g.generation > 0 then g.prefix = generation .. '~' end
  end
  if other or tonumber(version) < tonumber(versionWas) then
    local code = other and 'o' or 'v'
    for index = 0, count - 1 do g.codes[index + 1] = index .. code end
    version, numbering = versionWas, numberingWas
  else
    g.renumbered = g.lastText ~= '' and numbering ~= numberingWas
    offerAll(at, count)
    -- Nothing came that could have begun the new numbering.
    if g.renumbered then numbering = numberingWas end
    if version ~= versionWas then g.dirty = true end
  end
  if exceptions then exceptions.write() end
  if not packed then g.dirty = true end
  if not g.dirty and #g.added == 0 then return end
  packed = pack(format('%.0f', g.seq), g.lastText, g.venueTime, g.receivedTime, g.generation, version, numbering, g.channelEpoch,
    g.openCount, g.joined and '1' or '0', g.gapTo, g.snapLast, g.snapReceived)
  if g.epochBegun or #g.more > 0 then
    must('HSET', g.state, g.channel, packed, 'run', run, 'epoch', g.epoch, unpack(g.more))
  else
    must('HSET', g.state, g.channel, packed)
  end
end

local groups = tonumber(ARGV[2])
local greatestMs = 0
local reply = { '0' }
local rings = {}
local at = 3
for number = 0, groups - 1 do
  local bell, known, count = tonumber(ARGV[at]), ARGV[at + 4], tonumber(ARGV[at + 9])
  g = {
    state = KEYS[number * 3 + 1], stream = KEYS[number * 3 + 2], gaps = KEYS[number * 3 + 3],
    channel = ARGV[at + 1], market = ARGV[at + 2], instrument = ARGV[at + 3],
    quality = ARGV[at + 7] == 'LIVE' and '' or ARGV[at + 7], maxLength = ARGV[at + 8],
    seq = 0, last = 0, lastText = '', venueTime = '', receivedTime = '', generation = 0, channelEpoch = '', openCount = 0,
    joined = false, gapTo = '', snapLast = '', snapReceived = '', prefix = '',
    dropped = 0, overBound = 0, added = {}, codes = {}, more = {}, closedPieces = {}, removed = {}, intervals = {},
  }
  local ok, problem = pcall(processGroup, at + 10, count, known, ARGV[at + 5], ARGV[at + 6])
  local grown = #g.added
  if not ok then
    if grown > 0 then command('XDEL', g.stream, unpack(g.added)) end
    reply[#reply + 1] = number .. '\n' .. tostring(problem)
  else
    if grown > 0 then
      greatestMs = math.max(greatestMs, tonumber(string.match(g.added[grown], '^%d+')))
      local ring = rings[bell]
      local name = g.market .. ':' .. g.instrument .. ':' .. g.channel
      if ring then ring[#ring + 1] = name else rings[bell] = { name } end
    end
    local isBound = g.dropped > 0 or g.overBound > 0
    if #g.codes > 0 or g.epochBegun or g.epoch ~= known or isBound then
      local have = (g.channel == 'TRADE' or g.channel == 'ORDERBOOK') and g.lastText or ''
      reply[#reply + 1] = number .. ' ' .. g.epoch .. (g.epochBegun and ' 1 ' or ' 0 ') .. have .. (g.joined and ' 1 ' or ' 0 ')
        .. table.concat(g.codes, ',') .. (isBound and (' ' .. g.dropped .. ' ' .. g.overBound) or '')
    end
  end
  at = at + 10 + count * 8
end

reply[1] = format('%.0f', greatestMs) .. ' ' .. run
for bell, ring in pairs(rings) do
  local key, names = KEYS[groups * 3 + bell + 1], table.concat(ring, ' ')
  -- Nobody who heard the bell of another Redis process shall wait behind it.
  local rung = floorMs and command('XADD', key, 'MAXLEN', '~', BELL_LENGTH, floorMs .. '-*', 'streams', names)
  if type(rung) ~= 'string' then rung = command('XADD', key, 'MAXLEN', '~', BELL_LENGTH, '*', 'streams', names) end
  if type(rung) ~= 'string' then reply[1] = reply[1] .. '!' .. rung.err end
end
return reply
