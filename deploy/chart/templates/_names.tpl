{{/* Names, labels, images. */}}

{{- define "penstock.name" -}}
{{- coalesce .Values.nameOverride .Values.global.nameOverride .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Room is left for what is added to it. */}}
{{- define "penstock.fullname" -}}
{{- $name := include "penstock.name" . -}}
{{- $own := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- coalesce .Values.fullnameOverride .Values.global.fullnameOverride $own | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "penstock.namespace" -}}
{{- default .Release.Namespace .Values.namespace.name -}}
{{- end -}}

{{- define "penstock.operator.fullname" -}}
{{- default (printf "%s-operator" (include "penstock.fullname" .)) .Values.operator.fullnameOverride -}}
{{- end -}}

{{- define "penstock.operator.serviceAccount" -}}
{{- $own := .Values.operator.serviceAccount -}}
{{- default (ternary (include "penstock.operator.fullname" .) "default" $own.create) $own.name -}}
{{- end -}}

{{- define "penstock.operator.service" -}}
{{- default (include "penstock.operator.fullname" .) .Values.operator.service.name -}}
{{- end -}}

{{- define "penstock.autoscaling.service" -}}
{{- default (printf "%s-autoscaling" (include "penstock.fullname" .)) .Values.autoscaling.service.name -}}
{{- end -}}

{{- define "penstock.operator.lease" -}}
{{- default (include "penstock.operator.fullname" .) .Values.operator.lease -}}
{{- end -}}

{{- define "penstock.runtime.serviceAccount" -}}
{{- $own := .Values.runtime.serviceAccount -}}
{{- default (ternary (printf "%s-host" (include "penstock.fullname" .)) "default" $own.create) $own.name -}}
{{- end -}}

{{/* What a host group's objects are called: of (dict "root" $ "group" GROUP). */}}
{{- define "penstock.group.fullname" -}}
{{- default (printf "%s-host-%s" (include "penstock.fullname" .root) .group.name) .group.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "penstock.group.namespace" -}}
{{- default (include "penstock.namespace" .root) .group.namespace -}}
{{- end -}}

{{/* What a Service, Deployment or policy selects by: of (dict "root" $ "component" NAME). */}}
{{- define "penstock.selector" -}}
app.kubernetes.io/name: {{ include "penstock.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end -}}

{{/* The two labels by which the operator knows hosts' pods and their groups are fixed: they are wasmCloud's. */}}
{{- define "penstock.group.selector" -}}
{{ include "penstock.selector" (dict "root" .root "component" "host") }}
wasmcloud.com/name: hostgroup
wasmcloud.com/hostgroup: {{ .group.name }}
{{- end -}}

{{/* Labels of an object: of (dict "root" $ "component" NAME "more" MAP). What Services and policies select by is nobody else's to say. */}}
{{- define "penstock.labels" -}}
{{- $chart := printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" | trunc 63 -}}
{{- $labels := dict "app.kubernetes.io/part-of" (include "penstock.name" .root) "app.kubernetes.io/version" (.root.Chart.AppVersion | toString)
  "app.kubernetes.io/managed-by" .root.Release.Service "helm.sh/chart" $chart -}}
{{- range $more := list .root.Values.commonLabels .more (include "penstock.selector" . | fromYaml) -}}
{{- range $key, $value := $more -}}{{- $_ := set $labels $key $value -}}{{- end -}}
{{- end -}}
{{- toYaml $labels -}}
{{- end -}}

{{/* Labels of a pod: nothing that a new version of the chart changes, so that pods are replaced when something else has. */}}
{{- define "penstock.podLabels" -}}
{{- $labels := dict "app.kubernetes.io/part-of" (include "penstock.name" .root) -}}
{{- range $more := list .root.Values.commonLabels .more (include "penstock.selector" . | fromYaml) -}}
{{- range $key, $value := $more -}}{{- $_ := set $labels $key $value -}}{{- end -}}
{{- end -}}
{{- toYaml $labels -}}
{{- end -}}

{{/* `metadata`: of (dict "root" $ "name" NAME "component" NAME), and of "namespace" (none for what belongs to the cluster),
     "labels" and "annotations". */}}
{{- define "penstock.metadata" -}}
name: {{ .name }}
{{- with .namespace }}
namespace: {{ . }}
{{- end }}
labels: {{- include "penstock.labels" (dict "root" .root "component" .component "more" .labels) | nindent 2 }}
{{- with merge (dict) (.annotations | default dict) .root.Values.commonAnnotations }}
annotations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* An image's name: of (dict "root" $ "image" IMAGE). */}}
{{- define "penstock.image" -}}
{{- $path := list (default .image.registry .root.Values.global.image.registry) .image.repository | compact | join "/" -}}
{{- if .image.digest -}}
{{- printf "%s@%s" $path .image.digest -}}
{{- else -}}
{{- printf "%s:%s" $path (default .root.Chart.AppVersion (.image.tag | toString)) -}}
{{- end -}}
{{- end -}}
