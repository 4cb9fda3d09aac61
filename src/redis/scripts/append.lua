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
        G give up), or a letter, ':' and the cause of a gap that is to be declared.
Returns a list: [1] milliseconds of the greatest entry id ('0' if none), then '!' and the error if a bell failed; then a text
        for each group of which there is more to say than that all was appended in the epoch the caller knew:
          "<group from 0> <epoch> <1 if begun by this call> <have> <1 if joined> <index><verdict>,..." and, after a line feed, an error.
        Verdicts: d duplicate, g gap, e early, t gap told, r gap told and refused, and refused because
        u unjoined, s snapshot too old, v table version, x error.

State hash: run, epoch, reset (venue time of the last reset), one field a channel (`pack` below), KLINE:<interval> and
closed:<interval>, open:<CHANNEL> (the open ranges). Times in us. Numbers become text by %.0f: `..` loses digits from 1e14.
]]
local command, guard = redis.pcall, pcall
local KEYS, ARGV = KEYS, ARGV
local tonumber, type, format = tonumber, type, string.format
local find, sub, match, gmatch, concat, max = string.find, string.sub, string.match, string.gmatch, table.concat, math.max

local RESET_AFTER_US = 60000000
local OPEN_RANGES_MAX = 1000
local LEDGER_MAX = 10000
local LEDGER_SCAN = 64
local NEIGHBOURS_MAX = 8
local CLOSED_RANGES_MAX = 1000
local BELL_LENGTH = 1000

local function text(number)
  return format('%.0f', number)
end

local clock = redis.call('TIME')
local nowUs = clock[1] * 1000000 + clock[2]
local nowText = text(nowUs)
local info = redis.call('INFO', 'server')
local _, runAt = find(info, 'run_id:', 1, true)
local run = sub(info, runAt + 1, runAt + 40)
local floorMs = tonumber(ARGV[1])
local clockBehind = nowUs < floorMs * 1000

-- The group in hand.
local state, stream, gaps, channel, market, instrument, keyHead, quality, maxLength
local epoch, epochBegun
-- Its channel's state. Ids and times are kept as the text they came in, `last` as a number besides.
local seq, lastText, last, venueTime, receivedTime, generation, channelEpoch, openCount, joined, gapTo, snapLast, snapReceived
-- `quotes`: what a reset makes of the instrument's QUOTE channel.
local prefix, intervals, quotes
-- What it did: entries added, codes of the reply, more fields of the state to write, whether the state changed.
local added, codes, more, dirty
-- Its open ranges once read, pieces closed, members to be taken out of the ledger.
local open, openChanged, closedPieces, removed

local function must(...)
  local reply = command(...)
  if type(reply) == 'table' and reply.err then error(reply.err, 0) end
  return reply
end

-- Entries

local function xadd(id, kind, venueSeq, keySeq, time, received, source, trace, word, data)
  local key = keyHead .. kind .. ':' .. prefix .. keySeq
  if maxLength == '' then
    return command('XADD', stream, id, 'v', '1', 'type', kind, 'market', market, 'instrument', instrument,
      'epoch', epoch, 'seq', format('%.0f', seq + 1), 'key', key, 'venueSeq', venueSeq, 'venueTime', time,
      'receivedTime', received, 'source', source, 'trace', trace, 'quality', word, 'data', data)
  end
  return command('XADD', stream, 'MAXLEN', '~', maxLength, id, 'v', '1', 'type', kind, 'market', market, 'instrument', instrument,
    'epoch', epoch, 'seq', format('%.0f', seq + 1), 'key', key, 'venueSeq', venueSeq, 'venueTime', time,
    'receivedTime', received, 'source', source, 'trace', trace, 'quality', word, 'data', data)
end

local function add(...)
  local id
  -- No reader's cursor may stand ahead of a new epoch. Another writer may have been further: then the stream's own order will do.
  if clockBehind and channelEpoch ~= epoch then id = xadd(text(floorMs) .. '-*', ...) end
  if type(id) ~= 'string' then
    id = xadd('*', ...)
    if type(id) ~= 'string' then error(id.err, 0) end
  end
  channelEpoch = epoch
  seq = seq + 1
  added[#added + 1] = id
end

local function addGap(range, payload, at)
  add(channel .. '.GAP', range, range, '', ARGV[at + 4], 'dispatcher.gap', ARGV[at + 6],
    channel == 'ORDERBOOK' and 'GAPPED' or '', payload)
end

local function beginEpoch()
  epoch = text(max(nowUs, (tonumber(epoch) or 0) + 1))
  epochBegun, dirty = true, true
end

-- The ledger. Edges are ids, written as strings, or receive times, written as numbers.

local function edge(number)
  if channel == 'TRADE' or channel == 'ORDERBOOK' then return '"' .. text(number) .. '"' end
  return text(number)
end

local function member(range)
  return '{"from":' .. edge(range.from) .. ',"to":' .. edge(range.to) .. ',"cause":"' .. range.cause .. '","openedAt":'
    .. range.openedAt .. ',"filledAt":' .. (range.filledAt or 'null') .. ',"how":' .. (range.how and '"' .. range.how .. '"' or 'null') .. '}'
end

-- No two gaps of a call are opened at the same microsecond, so that openedAt tells gaps apart.
local openings = 0
local function openingTime()
  openings = openings + 1
  return text(nowUs + openings - 1)
end

local function openRanges()
  if open then return open end
  open = {}
  if openCount > 0 then
    for from, to, cause, openedAt in gmatch(must('HGET', state, 'open:' .. channel) or '', '(%d+) (%d+) (%S+) (%d+);') do
      open[#open + 1] = { from = tonumber(from), to = tonumber(to), cause = cause, openedAt = openedAt, stored = true }
    end
  end
  return open
end

local function closePiece(range, from, to, how, filledAt)
  local piece = closedPieces[#closedPieces]
  if piece and channel == 'TRADE' and piece.to + 1 == from and piece.openedAt == range.openedAt and piece.cause == range.cause and piece.how == how then
    piece.to = to
  else
    closedPieces[#closedPieces + 1] =
      { from = from, to = to, cause = range.cause, openedAt = range.openedAt, how = how, filledAt = filledAt }
  end
end

-- New ranges always lie above the ones before, so the list stays sorted.
local function openRange(from, to, cause)
  local range = { from = from, to = to, cause = cause, openedAt = openingTime() }
  if openCount >= OPEN_RANGES_MAX then return closePiece(range, from, to, 'over-bound', nil) end
  local ranges = openRanges()
  ranges[#ranges + 1] = range
  openCount, openChanged = #ranges, true
end

-- Closes what is open within from..to; answers whether anything was.
local function close(from, to, how, filledAt)
  if openCount == 0 then return false end
  local ranges, touched = openRanges(), false
  for index = 1, #ranges do
    if ranges[index].from > to then break end
    if ranges[index].to >= from then touched = true break end
  end
  if not touched then return false end
  local kept = {}
  for index = 1, #ranges do
    local range = ranges[index]
    if range.to < from or range.from > to then
      kept[#kept + 1] = range
    else
      if range.stored then removed[#removed + 1] = member(range) end
      if range.from < from then
        kept[#kept + 1] = { from = range.from, to = from - 1, cause = range.cause, openedAt = range.openedAt }
      end
      closePiece(range, max(range.from, from), range.to < to and range.to or to, how, filledAt)
      if range.to > to then
        kept[#kept + 1] = { from = to + 1, to = range.to, cause = range.cause, openedAt = range.openedAt }
      end
    end
  end
  open, openCount, openChanged = kept, #kept, true
  return true
end

-- A book has one hole at a time, and it ends where the book goes on.
local function closeBookGap(to, how)
  local range = openRanges()[1]
  if not range then return end
  if range.stored then removed[#removed + 1] = member(range) end
  closePiece(range, range.from, to, how, nowText)
  open, openCount, openChanged = {}, 0, true
end

-- Takes a closed neighbour of the same gap into the piece, so that filling a gap in many calls leaves one member. Ranges of
-- an older numbering can lie between.
local function absorb(piece, low, high)
  for _, found in ipairs(must('ZREVRANGEBYSCORE', gaps, high, low, 'LIMIT', 0, NEIGHBOURS_MAX)) do
    local other = cjson.decode(found)
    if other.how == piece.how and other.cause == piece.cause and text(other.openedAt) == piece.openedAt then
      local from, to = tonumber(other.from), tonumber(other.to)
      if to + 1 == piece.from then
        piece.from = from
        return must('ZREM', gaps, found)
      elseif piece.to + 1 == from then
        piece.to = to
        return must('ZREM', gaps, found)
      end
    end
  end
end

-- At its bound the ledger's oldest members are looked at: closed ones that touch become one, else the oldest closed one goes.
local function makeRoom()
  local oldest, before, beforeText = nil, nil, nil
  for start = 0, OPEN_RANGES_MAX, LEDGER_SCAN do
    for _, found in ipairs(must('ZRANGE', gaps, start, start + LEDGER_SCAN - 1)) do
      local range = cjson.decode(found)
      range.from, range.to = tonumber(range.from), tonumber(range.to)
      if range.how == cjson.null then
        before = nil
      else
        if before and before.to + 1 >= range.from and before.to < range.to and before.how == range.how then
          must('ZREM', gaps, beforeText, found)
          range.from, range.cause = before.from, before.cause
          range.openedAt, range.filledAt = text(before.openedAt), range.filledAt ~= cjson.null and text(range.filledAt) or nil
          must('ZADD', gaps, text(range.from), member(range))
          return
        end
        oldest = oldest or found
        before, beforeText = range, found
      end
    end
    if oldest then break end
  end
  if oldest then must('ZREM', gaps, oldest) end
end

local function writeLedger()
  for index = 1, #removed do must('ZREM', gaps, removed[index]) end
  for index = 1, #closedPieces do
    local piece = closedPieces[index]
    if channel == 'TRADE' then
      absorb(piece, '-inf', text(piece.from - 1))
      absorb(piece, text(piece.to + 1), text(piece.to + 1))
    end
    must('ZADD', gaps, text(piece.from), member(piece))
  end
  if openChanged then
    local packed = {}
    for index = 1, #open do
      local range = open[index]
      if not range.stored then must('ZADD', gaps, text(range.from), member(range)) end
      packed[index] = text(range.from) .. ' ' .. text(range.to) .. ' ' .. range.cause .. ' ' .. range.openedAt .. ';'
    end
    more[#more + 1] = 'open:' .. channel
    more[#more + 1] = concat(packed)
  end
  for _ = LEDGER_MAX + 1, must('ZCARD', gaps) do makeRoom() end
end

-- Channel state

local FIELDS = '^(%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*) (%S*)$'
local function pack(sequence, lastId, time, received, gen, version, numbering, channelEpochText, openRangesCount, isJoined, to, snap, snapTime)
  return sequence .. ' ' .. lastId .. ' ' .. time .. ' ' .. received .. ' ' .. gen .. ' ' .. version .. ' ' .. numbering .. ' '
    .. channelEpochText .. ' ' .. openRangesCount .. ' ' .. isJoined .. ' ' .. to .. ' ' .. snap .. ' ' .. snapTime
end

-- The venue's numbering began anew. What was open in the old one can never be filled.
local function beginNumbering(at)
  close(0, 9007199254740991, 'reset', nil)
  beginEpoch()
  generation = generation + 1
  prefix = text(generation) .. '~'
  snapLast, snapReceived = '', ''
  addGap('reset@' .. epoch, '{"cause":"venue-reset"}', at)
end

local function isReset(at)
  local time = tonumber(ARGV[at + 3])
  if not time or venueTime == '' or time <= tonumber(venueTime) + RESET_AFTER_US then return false end
  -- After a snapshot the deltas it already holds are offered; only one received long after it can mean a reset.
  return lastText ~= snapLast or tonumber(ARGV[at + 4]) > tonumber(snapReceived) + RESET_AFTER_US
end

-- Quotes have no venue time and follow their instrument, once for a reset that trades and book both show.
local function reset(at)
  if not quotes then
    local found = must('HMGET', state, 'reset', 'QUOTE')
    quotes = { resetTime = found[1], packed = found[2] }
  end
  if not (quotes.resetTime and tonumber(quotes.resetTime) > tonumber(venueTime)) then
    quotes.resetTime = ARGV[at + 3]
    if quotes.packed then
      local s, _, time, received, gen, version, numbering, e, n, j, to, sl, sr = match(quotes.packed, FIELDS)
      quotes.packed = pack(s, '', time, received, text(tonumber(gen) + 1), version, numbering, e, n, j, to, sl, sr)
    end
  end
  beginNumbering(at)
end

-- The rules, one a channel: offer at ARGV[at] -> nil (appended) or the verdict's letter.

local function accept(kind, at, word)
  local id = ARGV[at + 1]
  add(kind, id, id, ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], word, ARGV[at + 7])
end

local function advance(id, number, at)
  last, lastText, venueTime, receivedTime = number, id, ARGV[at + 3], ARGV[at + 4]
end

local function idGap(from, to, cause, at)
  local fromText, toText = text(from), text(to)
  addGap(fromText .. '-' .. toText, '{"from":"' .. fromText .. '","to":"' .. toText .. '","cause":"' .. cause .. '"}', at)
end

local renumbered
local function trade(at, _, cause)
  local id = ARGV[at + 1]
  local number = tonumber(id)
  if not number then return 'x' end
  local verdict
  if lastText == '' or (number == last + 1 and not renumbered) then
    -- The first id ever opens the numbering.
  elseif renumbered then
    renumbered = false
    beginNumbering(at)
    verdict = 't'
  elseif number > last then
    if cause == '' then return 'g' end
    idGap(last + 1, number - 1, cause, at)
    openRange(last + 1, number - 1, cause)
    verdict = 't'
  elseif isReset(at) then
    reset(at)
    verdict = 't'
  else
    local how = find(ARGV[at + 5], '.rest.', 1, true) and 'rest' or 'late'
    if not close(number, number, how, nowText) then return 'd' end
    accept('TRADE', at, '')
    return nil
  end
  accept('TRADE', at, '')
  advance(id, number, at)
  return verdict
end

-- Tells an interruption from the last thing told to this event; answers nil when nothing of it is left to tell.
local function lineGap(before, toldTo, cause, at, interval)
  local from, to = max(tonumber(before) or 0, tonumber(toldTo) or 0), tonumber(ARGV[at + 4])
  if to <= from then return nil end
  local fromText, toText = text(from), ARGV[at + 4]
  local head, tail = '', ''
  if interval then head, tail = interval .. '@', ',"interval":"' .. interval .. '"' end
  addGap(head .. fromText .. '-' .. toText, '{"from":' .. fromText .. ',"to":' .. toText .. ',"cause":"' .. cause .. '"' .. tail .. '}', at)
  closePiece({ cause = cause, openedAt = openingTime() }, from, to, 'unfillable', nil)
  return toText
end

local function newest(at, _, cause)
  local id = ARGV[at + 1]
  local number = tonumber(id)
  if not number then return 'x' end
  if lastText ~= '' and number <= last then return 'd' end
  local told = cause ~= '' and lastText ~= '' and lineGap(receivedTime, gapTo, cause, at) or nil
  gapTo = told or gapTo
  accept(channel, at, '')
  advance(id, number, at)
  return told and 't' or nil
end

local function interval(name)
  local bar = intervals[name]
  if bar then return bar end
  local found = must('HMGET', state, 'KLINE:' .. name, 'closed:' .. name)
  bar = { ranges = {}, closed = false }
  if found[1] then
    local opens, closed, trades, received, to, floor = match(found[1], '^(%S*) (%S*) (%S*) (%S*) (%S*) (%S*)$')
    bar.open, bar.closed, bar.trades, bar.received, bar.gapTo, bar.floor =
      tonumber(opens), closed == '1', tonumber(trades), received, to, floor
  end
  for from, to in gmatch(found[2] or '', '(%d+)-(%d+);') do
    bar.ranges[#bar.ranges + 1] = { tonumber(from), tonumber(to) }
  end
  intervals[name] = bar
  return bar
end

local function isClosed(bar, opens)
  if bar.floor and bar.floor ~= '' and opens < tonumber(bar.floor) then return true end
  for index = #bar.ranges, 1, -1 do
    local range = bar.ranges[index]
    if range[1] <= opens then return opens < range[2] end
  end
  return false
end

local function noteClosed(bar, opens, ends)
  local ranges, index = bar.ranges, #bar.ranges
  while index > 0 and ranges[index][1] > opens do index = index - 1 end
  local below, above = ranges[index], ranges[index + 1]
  if below and below[2] >= opens then
    below[2] = max(below[2], ends)
    if above and above[1] <= below[2] then
      below[2] = max(below[2], above[2])
      table.remove(ranges, index + 1)
    end
  elseif above and above[1] <= ends then
    above[1] = opens
  else
    table.insert(ranges, index + 1, { opens, ends })
    if #ranges > CLOSED_RANGES_MAX then
      table.remove(ranges, 1)
      bar.floor = text(ranges[1][1])
    end
  end
  bar.rangesChanged = true
end

local function kline(at, _, cause)
  local name, opens, trades, tail = match(ARGV[at + 1], '^([^@ ]+)@(%d+)@(%d+)(.*)$')
  if not name then return 'x' end
  local closed = tail == '@closed'
  local ends = closed and tonumber(match(ARGV[at + 2], '@(%d+)$'))
  if closed and not ends then return 'x' end
  opens, trades = tonumber(opens), tonumber(trades)
  local bar = interval(name)
  local isNewest = not bar.open or opens > bar.open
    or (opens == bar.open and (closed ~= bar.closed and closed or closed == bar.closed and trades > bar.trades))
  local told
  if isNewest then
    told = cause ~= '' and bar.open and lineGap(bar.received, bar.gapTo, cause, at, name) or nil
    bar.gapTo = told or bar.gapTo
  elseif not closed or opens >= bar.open or isClosed(bar, opens) then
    return 'd'
  end
  accept('KLINE.SUMMARY', at, '')
  if closed then noteClosed(bar, opens, ends) end
  if isNewest then bar.open, bar.closed, bar.trades, bar.received = opens, closed, trades, ARGV[at + 4] end
  bar.changed = true
  return told and 't' or nil
end

local function snapshot(at, refresh, cause)
  local id = ARGV[at + 1]
  local number = tonumber(id)
  if not number then return 'x' end
  local verdict
  -- The same answer again: its key is in the stream.
  if id == snapLast and tonumber(ARGV[at + 4]) <= tonumber(snapReceived) then return 'd' end
  if lastText == '' then
    -- Nothing before it: it opens the numbering.
  elseif not joined then
    local range = openRanges()[1]
    if number < last or (range and number < range.to) then return 's' end
    closeBookGap(number, 'snapshot')
  elseif number > last then
    if cause == '' then return 'e' end
    idGap(last + 1, number, cause, at)
    closePiece({ cause = cause, openedAt = openingTime() }, last + 1, number, 'snapshot', nowText)
    verdict = 't'
  elseif number < last or not refresh then
    return 'd'
  end
  add('ORDERBOOK.SNAPSHOT', id, id .. '@' .. ARGV[at + 4], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], quality, ARGV[at + 7])
  last, lastText, joined, receivedTime, snapLast, snapReceived = number, id, true, ARGV[at + 4], id, ARGV[at + 4]
  if venueTime == '' or tonumber(venueTime) < tonumber(snapReceived) then venueTime = snapReceived end
  return verdict
end

local function book(at, kind, cause)
  if kind == 'S' or kind == 'R' then return snapshot(at, kind == 'R', cause) end
  local id = ARGV[at + 1]
  local to, from = tonumber(id), tonumber(ARGV[at + 2])
  if not to or not from or from > to then return 'x' end
  if lastText == '' then return 'u' end
  if to <= last then
    if not isReset(at) then return 'd' end
    reset(at)
    last, lastText, joined, venueTime = 0, '', false, ARGV[at + 3]
    return 'r'
  end
  if from <= last + 1 then
    if not joined then
      closeBookGap(to, 'delta')
      joined = true
    end
    accept('ORDERBOOK.DELTA', at, quality)
    advance(id, to, at)
    return nil
  end
  if not joined then return 'u' end
  if cause == '' then return 'g' end
  idGap(last + 1, from - 1, cause, at)
  openRange(last + 1, from - 1, cause)
  joined = false
  return 'r'
end

local function giveUp(at)
  local from, to = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if not from or not to then return 'x' end
  if not close(from, to, ARGV[at + 7], nil) then return 'd' end
  return nil
end

local RULES = { TRADE = trade, QUOTE = newest, TICKER = newest, KLINE = kline, ORDERBOOK = book }

local function writeState(version, numbering)
  if quotes then
    more[#more + 1] = 'reset'
    more[#more + 1] = quotes.resetTime
    if quotes.packed then
      more[#more + 1] = 'QUOTE'
      more[#more + 1] = quotes.packed
    end
  end
  for name, bar in pairs(intervals) do
    if bar.changed then
      more[#more + 1] = 'KLINE:' .. name
      more[#more + 1] = text(bar.open) .. ' ' .. (bar.closed and '1' or '0') .. ' ' .. text(bar.trades) .. ' ' .. bar.received
        .. ' ' .. (bar.gapTo or '') .. ' ' .. (bar.floor or '')
    end
    if bar.rangesChanged then
      local packed = {}
      for index, range in ipairs(bar.ranges) do packed[index] = text(range[1]) .. '-' .. text(range[2]) .. ';' end
      more[#more + 1] = 'closed:' .. name
      more[#more + 1] = concat(packed)
    end
  end
  local packed = pack(text(seq), lastText, venueTime, receivedTime, text(generation), version, numbering, channelEpoch,
    text(openCount), joined and '1' or '0', gapTo, snapLast, snapReceived)
  if epochBegun or #more > 0 then
    must('HSET', state, channel, packed, 'run', run, 'epoch', epoch, unpack(more))
  else
    must('HSET', state, channel, packed)
  end
end

-- Reads the state and offers in order. Errors are raised to `guard`; everything it did stands in the group's variables.
local function group(at, count, version, numbering)
  local found = must('HMGET', state, 'run', 'epoch', channel)
  epoch = found[2] or ''
  if found[1] ~= run then beginEpoch() end
  local was = found[3]
  local versionWas, numberingWas
  if was then
    local seqText, generationText, openText, joinedText
    seqText, lastText, venueTime, receivedTime, generationText, versionWas, numberingWas, channelEpoch, openText, joinedText, gapTo, snapLast, snapReceived =
      match(was, FIELDS)
    seq, last, generation, openCount, joined =
      tonumber(seqText), tonumber(lastText) or 0, tonumber(generationText), tonumber(openText), joinedText == '1'
  else
    seq, last, lastText, venueTime, receivedTime, generation, openCount, joined = 0, 0, '', '', '', 0, 0, false
    versionWas, numberingWas, channelEpoch, gapTo, snapLast, snapReceived = version, numbering, '', '', '', ''
  end
  prefix = generation > 0 and text(generation) .. '~' or ''
  if tonumber(version) < tonumber(versionWas) then
    for index = 0, count - 1 do codes[index + 1] = index .. 'v' end
    version, numbering = versionWas, numberingWas
  else
    renumbered = lastText ~= '' and numbering ~= numberingWas
    local rule = RULES[channel]
    for index = 0, count - 1 do
      local flags = ARGV[at]
      local verdict
      if flags == '' then
        verdict = rule(at, '', '')
      else
        local kind = sub(flags, 1, 1)
        if kind == 'G' then verdict = giveUp(at) else verdict = rule(at, kind, sub(flags, 3)) end
      end
      if verdict then codes[#codes + 1] = index .. verdict end
      at = at + 8
    end
    -- Nothing came that could have begun the new numbering.
    if renumbered then numbering = numberingWas end
    if not was or version ~= versionWas then dirty = true end
  end
  if openChanged or #closedPieces > 0 then
    writeLedger()
    dirty = true
  end
  if dirty or #added > 0 then writeState(version, numbering) end
end

local groups = tonumber(ARGV[2])
local greatestMs = 0
local reply = { '0' }
local rings = {}
local at = 3
for number = 0, groups - 1 do
  state, stream, gaps = KEYS[number * 3 + 1], KEYS[number * 3 + 2], KEYS[number * 3 + 3]
  channel, market, instrument = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  quality, maxLength = ARGV[at + 7], ARGV[at + 8]
  if quality == 'LIVE' then quality = '' end
  keyHead = instrument .. ':'
  local bell, known, count = tonumber(ARGV[at]), ARGV[at + 4], tonumber(ARGV[at + 9])
  epochBegun, dirty, open, openChanged, renumbered, quotes = false, false, nil, false, false, nil
  added, codes, more, closedPieces, removed, intervals = {}, {}, {}, {}, {}, {}
  local ok, problem = guard(group, at + 10, count, ARGV[at + 5], ARGV[at + 6])
  if not ok then
    if #added > 0 then command('XDEL', stream, unpack(added)) end
    reply[#reply + 1] = number .. '  0  0 ' .. '0x\n' .. tostring(problem)
  else
    local grown = #added
    if grown > 0 then
      greatestMs = max(greatestMs, tonumber(match(added[grown], '^%d+')))
      local ring = rings[bell]
      local name = market .. ':' .. instrument .. ':' .. channel
      if ring then ring[#ring + 1] = name else rings[bell] = { name } end
    end
    if #codes > 0 or epochBegun or epoch ~= known then
      local have = (channel == 'TRADE' or channel == 'ORDERBOOK') and lastText or ''
      reply[#reply + 1] = number .. ' ' .. epoch .. (epochBegun and ' 1 ' or ' 0 ') .. have .. (joined and ' 1 ' or ' 0 ') .. concat(codes, ',')
    end
  end
  at = at + 10 + count * 8
end

reply[1] = text(greatestMs)
for bell, ring in pairs(rings) do
  local rung = command('XADD', KEYS[groups * 3 + bell + 1], 'MAXLEN', '~', BELL_LENGTH, '*', 'streams', concat(ring, ' '))
  if type(rung) ~= 'string' then reply[1] = text(greatestMs) .. '!' .. rung.err end
end
return reply
