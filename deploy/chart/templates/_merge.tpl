{{/* Writes all of "from" into the map "into": maps are merged, `null` takes a key away, all else is replaced. Sprig's `merge` cannot say
     false, 0 or nothing. */}}
{{- define "penstock.mergeInto" -}}
{{- $into := .into -}}
{{- range $key, $value := .from -}}
{{- if and (kindIs "map" $value) (kindIs "map" (get $into $key)) -}}
{{- include "penstock.mergeInto" (dict "into" (get $into $key) "from" $value) -}}
{{- else if kindIs "invalid" $value -}}
{{- $_ := unset $into $key -}}
{{- else -}}
{{- $_ := set $into $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* All host groups, each with what `runtime` says and it does not, as JSON: {"groups": [...]}. */}}
{{- define "penstock.groups" -}}
{{- $groups := list -}}
{{- range $item := .Values.runtime.hostGroups -}}
{{- $group := omit $.Values.runtime "hostGroups" "serviceAccount" "sharedService" | deepCopy -}}
{{- include "penstock.mergeInto" (dict "into" $group "from" $item) -}}
{{- if kindIs "invalid" (get $group.service "enabled") -}}
{{- $_ := set $group.service "enabled" (not (empty $item.service)) -}}
{{- end -}}
{{- if not $group.kind -}}
{{- $_ := set $group "kind" (ternary "DaemonSet" "Deployment" (kindIs "invalid" $group.replicas)) -}}
{{- end -}}
{{- if and (eq $group.kind "Deployment") (kindIs "invalid" $group.replicas) -}}
{{- $_ := set $group "replicas" 1 -}}
{{- end -}}
{{- if kindIs "invalid" (get $group.podDisruptionBudget "enabled") -}}
{{- $_ := set $group.podDisruptionBudget "enabled" (eq $group.kind "Deployment") -}}
{{- end -}}
{{- $_ := set $group "schedulerNatsUrl" (default $.Values.global.nats.schedulerUrl $group.schedulerNatsUrl) -}}
{{- $_ := set $group "dataNatsUrl" (default $.Values.global.nats.dataUrl $group.dataNatsUrl) -}}
{{- $groups = append $groups $group -}}
{{- end -}}
{{- dict "groups" $groups | toJson -}}
{{- end -}}

{{/* The port of the listener that routes by hostname; 0: there is none. It is one for all of Penstock's hosts. */}}
{{- define "penstock.sharedPort" -}}
{{- $port := 0 -}}
{{- range (include "penstock.groups" . | fromJson).groups -}}
{{- if and .http.enabled (eq .protocol "control") -}}{{- $port = .http.port -}}{{- end -}}
{{- end -}}
{{- $port | int -}}
{{- end -}}
