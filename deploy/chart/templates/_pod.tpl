{{/* What the pods of operator and hosts have in common. */}}

{{/* Variables of the environment: the chart's ("own", as YAML) but for those that "more" has, then those. The API server wants each name
     once. */}}
{{- define "penstock.env" -}}
{{- $names := dict -}}
{{- range .more -}}{{- $_ := set $names .name true -}}{{- end -}}
{{- $all := list -}}
{{- range .own | fromYamlArray -}}
{{- if not (hasKey $names .name) -}}{{- $all = append $all . -}}{{- end -}}
{{- end -}}
{{- concat $all (.more | default list) | toYaml -}}
{{- end -}}

{{/* Where the container is, as variables that arguments may name too: $(POD_NAME). */}}
{{- define "penstock.env.pod" -}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
- {name: POD_IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
{{- end -}}

{{/* A variable, unless it is empty: of (list NAME VALUE). Lists are joined by commas. */}}
{{- define "penstock.env.one" -}}
{{- $value := index . 1 -}}
{{- if kindIs "slice" $value -}}{{- $value = join "," $value -}}{{- end -}}
{{- if kindIs "float64" $value -}}{{- $value = $value | int64 -}}{{- end -}}
{{- if not (or (kindIs "invalid" $value) (eq ($value | toString) "")) }}
- name: {{ index . 0 }}
  value: {{ $value | toString | quote }}
{{- end -}}
{{- end -}}

{{/* A probe; without a port it asks "port": of (dict "probe" PROBE "port" NAME). */}}
{{- define "penstock.probe" -}}
{{- $probe := deepCopy .probe -}}
{{- range $way := list "httpGet" "tcpSocket" "grpc" -}}
{{- if and (hasKey $probe $way) (not (hasKey (get $probe $way) "port")) -}}{{- $_ := set (get $probe $way) "port" $.port -}}{{- end -}}
{{- end -}}
{{- toYaml $probe -}}
{{- end -}}

{{/* The container's part that is the same for all: of (dict "root" $ "of" VALUES "adminPort" NAME). */}}
{{- define "penstock.container" -}}
image: {{ include "penstock.image" (dict "root" .root "image" .of.image) }}
imagePullPolicy: {{ default .of.image.pullPolicy .of.image.pull_policy }}
{{- with .of.command }}
command: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with concat .of.args .of.extraArgs }}
args: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.envFrom }}
envFrom: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $name := list "livenessProbe" "readinessProbe" "startupProbe" }}
{{- with get $.of $name }}
{{ $name }}: {{- include "penstock.probe" (dict "probe" . "port" $.adminPort) | nindent 2 }}
{{- end }}
{{- end }}
{{- with .of.lifecycle }}
lifecycle: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.resources }}
resources: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.securityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* The pod's part that is the same for all: of (dict "root" $ "of" VALUES "selector" YAML). */}}
{{- define "penstock.pod" -}}
enableServiceLinks: {{ .of.enableServiceLinks }}
terminationGracePeriodSeconds: {{ .of.terminationGracePeriodSeconds | int }}
{{- with .root.Values.global.image.pullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
{{- range $name := list "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" }}
{{- with get $.of $name }}
{{ $name }}: {{ . }}
{{- end }}
{{- end }}
{{- if .of.hostNetwork }}
hostNetwork: true
{{- end }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "dnsConfig" "hostAliases" }}
{{- with get $.of $name }}
{{ $name }}: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- with .of.topologySpreadConstraints }}
topologySpreadConstraints:
{{- range . }}
{{- $one := deepCopy . }}
{{- if not (hasKey $one "labelSelector") }}{{- $_ := set $one "labelSelector" (dict "matchLabels" ($.selector | fromYaml)) }}{{- end }}
- {{- toYaml $one | nindent 2 }}
{{- end }}
{{- end }}
{{- with .of.podSecurityContext }}
securityContext: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* A way to replace pods: without the figures of another way. */}}
{{- define "penstock.strategy" -}}
{{- if eq .type "RollingUpdate" -}}{{- toYaml . -}}{{- else -}}{{- omit . "rollingUpdate" | toYaml -}}{{- end -}}
{{- end -}}

{{/* A Service's spec but for its selector and ports. */}}
{{- define "penstock.service" -}}
type: {{ .type }}
{{- with .spec }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* A PodDisruptionBudget's spec but for its selector. */}}
{{- define "penstock.budget" -}}
{{- if kindIs "invalid" .minAvailable -}}
maxUnavailable: {{ .maxUnavailable }}
{{- else -}}
minAvailable: {{ .minAvailable }}
{{- end }}
{{- with .unhealthyPodEvictionPolicy }}
unhealthyPodEvictionPolicy: {{ . }}
{{- end }}
{{- end -}}

{{/* A Service's only port: of (dict "of" SERVICE "target" PORT). */}}
{{- define "penstock.service.port" -}}
- name: {{ .of.portName }}
  port: {{ .of.port | int }}
  targetPort: {{ .target }}
  protocol: TCP
  {{- if not (kindIs "invalid" .of.nodePort) }}
  nodePort: {{ .of.nodePort | int }}
  {{- end }}
  {{- with .of.appProtocol }}
  appProtocol: {{ . }}
  {{- end }}
{{- end -}}
