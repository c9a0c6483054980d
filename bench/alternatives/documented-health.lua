-- What the documentation of Argo CD gives to bring the health of Applications back:
-- https://argo-cd.readthedocs.io/en/stable/operator-manual/health/#argocd-app
hs = {}
hs.status = "Progressing"
hs.message = ""
if obj.status ~= nil then
  if obj.status.health ~= nil then
    hs.status = obj.status.health.status
    if obj.status.health.message ~= nil then
      hs.message = obj.status.health.message
    end
  end
end
return hs
