-- Health of a HorizontalPodAutoscaler. From Argo CD 3.5 on, its own check calls one without metrics Degraded, which
-- every autoscaler is in its first minute: the first sync of a Cassandra ring would fail on it. Whether there are metrics
-- is a matter for alerts; here it counts whether the autoscaler can do its work at all.

local status = obj.status or {}
for _, condition in ipairs(status.conditions or {}) do
  local broken = condition.reason == "FailedGetScale"
    or condition.reason == "FailedUpdateScale"
    or condition.reason == "InvalidSelector"
  if condition.status == "False" and broken then
    return {status = "Degraded", message = condition.message}
  end
end
return {status = "Healthy"}
