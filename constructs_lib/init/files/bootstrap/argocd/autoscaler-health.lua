-- Health of a HorizontalPodAutoscaler. From Argo CD 3.5 on, its own check calls one without metrics Degraded, which
-- every autoscaler is in its first minute: the first sync of a Cassandra ring would fail on it. Whether there are metrics
-- is a matter for alerts; here it counts whether the autoscaler can do its work at all, and whether its minimum is there.
--
-- A workload that is scaled starts with one pod. Its own health covers the others only once the autoscaler has asked for
-- them, some 15 seconds later, and the next wave would have begun. The autoscaler asks for its minimum before it looks
-- for metrics (reconcileAutoscaler in pkg/controller/podautoscaler/horizontal.go), so that this never waits for them.

local status = obj.status or {}
local minimum = (obj.spec or {}).minReplicas or 1
local disabled = false
for _, condition in ipairs(status.conditions or {}) do
  local broken = condition.reason == "FailedGetScale"
    or condition.reason == "FailedUpdateScale"
    or condition.reason == "InvalidSelector"
  if condition.status == "False" and broken then
    return {status = "Degraded", message = condition.message}
  end
  -- Somebody has scaled the workload to 0.
  disabled = disabled or (condition.status == "False" and condition.reason == "ScalingDisabled")
end
-- What it has asked for stays 0 as long as it neither had to scale nor found metrics: then what it has found counts.
local enough = (status.desiredReplicas or 0) >= minimum or (status.currentReplicas or 0) >= minimum
-- One pod is what a workload starts with.
if minimum > 1 and not enough and not disabled then
  return {status = "Progressing", message = "has not asked for its minimum of pods yet"}
end
return {status = "Healthy"}
