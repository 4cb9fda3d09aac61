-- The rules of TRADE, QUOTE, TICKER and ORDERBOOK, whole (part of append.lua): offer at ARGV[at] -> nil (appended) or the
-- verdict's letter. The plain cases have been decided before an offer comes here.

local RESET_AFTER_US = 60000000

-- The venue's numbering began anew. What was open in the old one can never be filled.
local function beginNumbering(at)
  close(0, 9007199254740991, 'reset', nil)
  beginEpoch()
  g.generation = g.generation + 1
  g.prefix = text(g.generation) .. '~'
  g.snapLast, g.snapReceived = '', ''
  addGap('reset@' .. g.epoch, '{"cause":"venue-reset"}', at)
end

local function isReset(at)
  local time = tonumber(ARGV[at + 3])
  if not time or g.venueTime == '' or time <= tonumber(g.venueTime) + RESET_AFTER_US then return false end
  -- After a snapshot the deltas it already holds are offered; only one received long after it can mean a reset.
  return g.lastText ~= g.snapLast or tonumber(ARGV[at + 4]) > tonumber(g.snapReceived) + RESET_AFTER_US
end

-- Quotes have no venue time and follow their instrument, once for a reset that trades and book both show.
local function reset(at)
  if not g.quotes then
    local found = must('HMGET', g.state, 'reset', 'QUOTE')
    g.quotes = { resetTime = found[1], packed = found[2] }
  end
  if not (g.quotes.resetTime and tonumber(g.quotes.resetTime) > tonumber(g.venueTime)) then
    g.quotes.resetTime = ARGV[at + 3]
    if g.quotes.packed then
      local s, _, time, received, gen, version, numbering, e, n, j, to, sl, sr = match(g.quotes.packed, FIELDS)
      g.quotes.packed = pack(s, '', time, received, text(tonumber(gen) + 1), version, numbering, e, n, j, to, sl, sr)
    end
  end
  beginNumbering(at)
end

local function accept(kind, at, word)
  local id = ARGV[at + 1]
  add(kind, id, id, ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], word, ARGV[at + 7])
end

local function advance(id, number, at)
  g.last, g.lastText, g.venueTime, g.receivedTime = number, id, ARGV[at + 3], ARGV[at + 4]
end

local function idGap(from, to, cause, at)
  local fromText, toText = text(from), text(to)
  addGap(fromText .. '-' .. toText, '{"from":"' .. fromText .. '","to":"' .. toText .. '","cause":"' .. cause .. '"}', at)
end

local function trade(at, _, cause)
  local id = ARGV[at + 1]
  local number = tonumber(id)
  if not number then return 'x' end
  local verdict
  if g.lastText == '' then
    -- The first id ever opens the numbering; what was told as lost lies below it.
    close(number, 9007199254740991, 'late', nowText)
  elseif number == g.last + 1 and not g.renumbered then
    -- It fits.
  elseif g.renumbered then
    g.renumbered = false
    beginNumbering(at)
    verdict = 't'
  elseif number > g.last then
    if cause == '' then return 'g' end
    idGap(g.last + 1, number - 1, cause, at)
    openRange(g.last + 1, number - 1, cause)
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

-- Tells an interruption from the last thing told to this event. The event before may have come by the line of another
-- process, whose frames waited longer: then it was received after this one, and the hole between them has no length.
local function lineGap(before, toldTo, cause, at, interval)
  local to = tonumber(ARGV[at + 4])
  -- The last gap ended at this very microsecond: there is nothing left to tell.
  if tonumber(toldTo) == to then return nil end
  local from = math.min(max(tonumber(before) or 0, tonumber(toldTo) or 0), to)
  local fromText, toText = text(from), ARGV[at + 4]
  local head, tail = '', ''
  if interval then head, tail = interval .. '@', ',"interval":"' .. interval .. '"' end
  local key = head .. fromText .. '-' .. toText
  -- It ends before one that was told, so its times may have been told as well: the event makes it another.
  local isBefore = toldTo and toldTo ~= '' and to < tonumber(toldTo)
  if isBefore then key = key .. '@' .. ARGV[at + 1] end
  addGap(key, '{"from":' .. fromText .. ',"to":' .. toText .. ',"cause":"' .. cause .. '"' .. tail .. '}', at)
  closePiece({ cause = cause, openedAt = openingTime() }, from, to, 'unfillable', nil)
  return isBefore and toldTo or toText
end

local function newest(at, _, cause)
  local id = ARGV[at + 1]
  local number = tonumber(id)
  if not number then return 'x' end
  if g.lastText ~= '' and number <= g.last then return 'd' end
  local told = cause ~= '' and g.lastText ~= '' and lineGap(g.receivedTime, g.gapTo, cause, at) or nil
  g.gapTo = told or g.gapTo
  accept(g.channel, at, '')
  advance(id, number, at)
  return told and 't' or nil
end

local function snapshot(at, refresh, cause)
  local id = ARGV[at + 1]
  local number = tonumber(id)
  if not number then return 'x' end
  local verdict
  -- The same answer again: its key is in the stream.
  if id == g.snapLast and tonumber(ARGV[at + 4]) <= tonumber(g.snapReceived) then return 'd' end
  if g.lastText == '' then
    -- Nothing before it: it opens the numbering, and ends what was told as lost with another Redis, unless it lies before that.
    local range = openRanges()[1]
    if range and number < range.to then return 's' end
    closeBookGap(number, 'snapshot')
  elseif not g.joined then
    local range = openRanges()[1]
    if number < g.last or (range and number < range.to) then return 's' end
    closeBookGap(number, 'snapshot')
  elseif number > g.last then
    if cause == '' then return 'e' end
    idGap(g.last + 1, number, cause, at)
    closePiece({ cause = cause, openedAt = openingTime() }, g.last + 1, number, 'snapshot', nowText)
    verdict = 't'
  elseif number < g.last or not refresh then
    return 'd'
  end
  add('ORDERBOOK.SNAPSHOT', id, id .. '@' .. ARGV[at + 4], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5], ARGV[at + 6], g.quality, ARGV[at + 7])
  g.last, g.lastText, g.joined, g.receivedTime, g.snapLast, g.snapReceived = number, id, true, ARGV[at + 4], id, ARGV[at + 4]
  if g.venueTime == '' or tonumber(g.venueTime) < tonumber(g.snapReceived) then g.venueTime = g.snapReceived end
  return verdict
end

local function book(at, kind, cause)
  if kind == 'S' or kind == 'R' then return snapshot(at, kind == 'R', cause) end
  local id = ARGV[at + 1]
  local to, from = tonumber(id), tonumber(ARGV[at + 2])
  if not to or not from or from > to then return 'x' end
  if g.lastText == '' then return 'u' end
  if to <= g.last then
    if not isReset(at) then return 'd' end
    reset(at)
    g.last, g.lastText, g.joined, g.venueTime = 0, '', false, ARGV[at + 3]
    return 'r'
  end
  if from <= g.last + 1 then
    if not g.joined then
      closeBookGap(to, 'delta')
      g.joined = true
    end
    accept('ORDERBOOK.DELTA', at, g.quality)
    advance(id, to, at)
    return nil
  end
  if not g.joined then return 'u' end
  if cause == '' then return 'g' end
  idGap(g.last + 1, from - 1, cause, at)
  openRange(g.last + 1, from - 1, cause)
  g.joined = false
  return 'r'
end

-- What stood in the stream of another Redis process and is nowhere any more. In a stream that holds something the ids, or the
-- interruption that the next event declares, tell it better.
local function lost(at, cause)
  local from, to = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if not from or not to or from > to then return 'x' end
  if g.seq > 0 then return 'd' end
  -- Its key names the cause, for what comes may lie below it, and the same ids be told as missing once more.
  local key, place = cause .. '@' .. text(from) .. '-' .. text(to), '{"from":' .. edge(from) .. ',"to":' .. edge(to)
  addGap(key, place .. ',"cause":"' .. cause .. '"}', at)
  if g.channel == 'TRADE' or g.channel == 'ORDERBOOK' then
    openRange(from, to, cause)
  else
    closePiece({ cause = cause, openedAt = openingTime() }, from, to, 'unfillable', nil)
    g.gapTo = text(to)
  end
  return 't'
end

local function giveUp(at)
  local from, to = tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  if not from or not to then return 'x' end
  if not close(from, to, ARGV[at + 7], nil) then return 'd' end
  return nil
end

local function writeQuotes()
  if not g.quotes then return end
  g.more[#g.more + 1] = 'reset'
  g.more[#g.more + 1] = g.quotes.resetTime
  if g.quotes.packed then
    g.more[#g.more + 1] = 'QUOTE'
    g.more[#g.more + 1] = g.quotes.packed
  end
end
