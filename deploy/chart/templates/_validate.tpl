{{/* What the schema cannot see. Every sentence says what to write instead. */}}

{{/* Seconds of a duration such as 1m30s, rounded up. */}}
{{- define "penstock.seconds" -}}
{{- $all := 0 -}}
{{- range regexFindAll "[0-9]+(h|ms|m|s)" . -1 -}}
{{- $number := regexFind "^[0-9]+" . | int -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $all = add $all (mul $number (get (dict "h" 3600000 "m" 60000 "s" 1000 "ms" 1) $unit)) -}}
{{- end -}}
{{- div (add $all 999) 1000 -}}
{{- end -}}

{{- define "penstock.validate" -}}
{{- $own := include "penstock.namespace" . -}}
{{- if and .Values.namespace.create (eq $own .Release.Namespace) -}}
{{- fail (printf "namespace.create: Helm keeps the release in %s and makes that namespace itself (--create-namespace): set namespace.name to another one" $own) -}}
{{- end -}}
{{- if and .Values.autoscaling.externalMetrics.enabled (not .Values.autoscaling.service.enabled) -}}
{{- fail "autoscaling.externalMetrics: the API server asks through autoscaling.service: set its enabled to true" -}}
{{- end -}}
{{- $range := splitList "-" .Values.operator.listenerPorts -}}
{{- $first := index $range 0 | int -}}
{{- $last := index $range 1 | int -}}
{{- if gt $first $last -}}
{{- fail (printf "operator.listenerPorts: %s begins after its end: write the first and the last port" .Values.operator.listenerPorts) -}}
{{- end -}}
{{- $names := dict -}}
{{- $ports := dict -}}
{{- $objects := dict -}}
{{- range $group := (include "penstock.groups" . | fromJson).groups -}}
{{- $at := printf "runtime.hostGroups (%s)" $group.name -}}
{{- if hasKey $names $group.name -}}
{{- fail (printf "%s: the name is there twice: give each group its own" $at) -}}
{{- end -}}
{{- $_ := set $names $group.name true -}}
{{- $full := include "penstock.group.fullname" (dict "root" $ "group" $group) -}}
{{- if hasKey $objects $full -}}
{{- fail (printf "%s: its objects would be called %s, as another group's are: set fullnameOverride" $at $full) -}}
{{- end -}}
{{- $_ := set $objects $full true -}}
{{- if and (eq $group.protocol "nats") (not $group.schedulerNatsUrl) -}}
{{- fail (printf "%s.protocol: hosts are driven over NATS, so set its schedulerNatsUrl or global.nats.schedulerUrl" $at) -}}
{{- end -}}
{{- if eq $group.protocol "control" -}}
{{- if ne (include "penstock.group.namespace" (dict "root" $ "group" $group)) $own -}}
{{- fail (printf "%s.namespace: the operator takes tokens of its own namespace only, which is %s: leave it out, or set protocol: nats" $at $own) -}}
{{- end -}}
{{- if not (or $.Values.operator.enabled $group.operatorUrl) -}}
{{- fail (printf "%s.operatorUrl: operator.enabled is false, so say where the operator is: https://HOST:PORT" $at) -}}
{{- end -}}
{{- if $group.http.enabled -}}
{{- $_ := set $ports ($group.http.port | int | toString) true -}}
{{- if gt (len $ports) 1 -}}
{{- fail (printf "%s.http.port: the port is one for all groups of Penstock's hosts, and these have %s" $at (keys $ports | sortAlpha | join ", ")) -}}
{{- end -}}
{{- end -}}
{{- range $name, $port := merge (dict "http.port" $group.http.port) $group.ports -}}
{{- if and (ge ($port | int) $first) (le ($port | int) $last) -}}
{{- fail (printf "%s: port %d (%s) is one of operator.listenerPorts (%s): choose another" $at ($port | int) $name $.Values.operator.listenerPorts) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $drain := add (include "penstock.seconds" $group.drainDelay) (include "penstock.seconds" $group.drainTimeout) -}}
{{- if le ($group.terminationGracePeriodSeconds | int) ($drain | int) -}}
{{- fail (printf "%s.terminationGracePeriodSeconds: %d s are not longer than drainDelay and drainTimeout together (%d s): requests would be cut" $at ($group.terminationGracePeriodSeconds | int) ($drain | int)) -}}
{{- end -}}
{{- if and (eq $group.kind "DaemonSet") $group.podDisruptionBudget.enabled (kindIs "invalid" $group.podDisruptionBudget.minAvailable) -}}
{{- fail (printf "%s.podDisruptionBudget: Kubernetes cannot tell how many pods of a DaemonSet may be away: set minAvailable to a number" $at) -}}
{{- end -}}
{{- if and $group.sharedCode.enabled (not (and $group.sharedCode.volume $group.sharedCode.secretName)) -}}
{{- fail (printf "%s.sharedCode: set volume, which all hosts can write, and secretName, by which they trust what is there" $at) -}}
{{- end -}}
{{- end -}}
{{- end -}}
