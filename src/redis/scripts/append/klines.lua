-- The rule of KLINE (part of append.lua): newest by (open time, closed, trades) for each interval, and a closed bar of an
-- earlier open time once. Closed open times are kept as ranges [open, end) in which bars that touch have become one.
-- State fields: KLINE:<interval> newest open, closed, trades, its receivedTime, end of the last gap told, floor under which
-- everything counts as closed; closed:<interval> the ranges.

local CLOSED_RANGES_MAX = 1000

local function interval(name)
  local bar = g.intervals[name]
  if bar then return bar end
  local found = must('HMGET', g.state, 'KLINE:' .. name, 'closed:' .. name)
  bar = { ranges = {}, closed = false }
  if found[1] then
    local opens, closed, trades, received, to, floor = match(found[1], '^(%S*) (%S*) (%S*) (%S*) (%S*) (%S*)$')
    bar.open, bar.closed, bar.trades, bar.received, bar.gapTo, bar.floor =
      tonumber(opens), closed == '1', tonumber(trades), received, to, floor
  end
  for from, to in gmatch(found[2] or '', '(%d+)-(%d+);') do
    bar.ranges[#bar.ranges + 1] = { tonumber(from), tonumber(to) }
  end
  g.intervals[name] = bar
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

local function writeBars()
  for name, bar in pairs(g.intervals) do
    if bar.changed then
      g.more[#g.more + 1] = 'KLINE:' .. name
      g.more[#g.more + 1] = text(bar.open) .. ' ' .. (bar.closed and '1' or '0') .. ' ' .. text(bar.trades) .. ' ' .. bar.received
        .. ' ' .. (bar.gapTo or '') .. ' ' .. (bar.floor or '')
    end
    if bar.rangesChanged then
      local packed = {}
      for index, range in ipairs(bar.ranges) do packed[index] = text(range[1]) .. '-' .. text(range[2]) .. ';' end
      g.more[#g.more + 1] = 'closed:' .. name
      g.more[#g.more + 1] = concat(packed)
    end
  end
end
