-- Health of an Application, as the waves of the root need it: Healthy means that the spec as it is now has been compared
-- with the cluster, that nothing differs, that no operation runs, and that every object is healthy. Copying
-- status.health would say the old Healthy right after a change, and the next wave would start too early.
--
-- Degraded ends the root's operation, which is then tried again with the newest commit; Progressing keeps it waiting.
-- So what only another commit can mend is Degraded. There is no string library in here.

local function empty(value)
  if type(value) ~= "table" then
    return value == nil or value == ""
  end
  for _, inner in pairs(value) do
    if not empty(inner) then
      return false
    end
  end
  return true
end

-- Whether two values are the same, fields that are missing or empty aside: the controller writes some of them out.
local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b or (empty(a) and empty(b))
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key, value in pairs(b) do
    if a[key] == nil and not empty(value) then
      return false
    end
  end
  return true
end

local function result(status, message)
  return {status = status, message = message}
end

local spec = obj.spec or {}
local status = obj.status or {}
local sync = status.sync or {}
local compared = sync.comparedTo or {}
local operation = status.operationState or {}
local health = (status.health or {}).status

if operation.phase == "Running" and (operation.retryCount or 0) > 0 then
  -- It is tried again with the commit that it began with: the root has to go on with the one that mends it.
  return result("Degraded", operation.message or "the sync failed, and is tried again")
end
if obj.operation ~= nil then
  return result("Progressing", "a sync is about to start")
end
if operation.phase == "Running" or operation.phase == "Terminating" then
  return result("Progressing", operation.message or "syncing")
end
if empty(sync.status) then
  return result("Progressing", "not compared yet")
end

local sources = "source"
if not empty(spec.sources) then
  sources = "sources"
end
if not same(spec[sources], compared[sources]) or not same(spec.destination, compared.destination) then
  return result("Progressing", "the spec has changed and is not compared yet")
end

if sync.status ~= "Synced" then
  if operation.phase == "Failed" or operation.phase == "Error" then
    return result("Degraded", operation.message or "the sync failed")
  end
  for _, condition in ipairs(status.conditions or {}) do
    if condition.type == "ComparisonError" or condition.type == "InvalidSpecError" then
      return result("Degraded", condition.message)
    end
  end
  return result("Progressing", "not synced yet")
end
if operation.phase == "Failed" or operation.phase == "Error" then
  -- Nothing differs and nobody will sync again: the objects tell the truth, but they do not tell of hooks. A sync that
  -- ran into its time limit leaves this state behind, and would block the later waves for ever if it were Degraded.
  for _, resource in ipairs((operation.syncResult or {}).resources or {}) do
    if not empty(resource.hookType) and resource.hookPhase ~= "Succeeded" then
      return result("Degraded", operation.message or "a hook failed")
    end
  end
end

if health == "Healthy" then
  return result("Healthy", nil)
end
if health == "Degraded" then
  return result("Degraded", "an object is degraded")
end
if health == "Suspended" then
  return result("Suspended", "an object is suspended")
end
return result("Progressing", "waiting for the objects to be healthy")
