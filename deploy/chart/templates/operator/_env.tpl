{{/* What the operator is told: each of its flags, as a variable of the environment. */}}
{{- define "penstock.operator.env" -}}
{{- $own := .Values.operator -}}
{{- $service := include "penstock.operator.service" . -}}
{{- $scaling := include "penstock.autoscaling.service" . -}}
{{- $names := $own.certificateNames -}}
{{- if ne .Values.clusterDomain "cluster.local" -}}
{{/* The other names of its Services it knows by itself. */}}
{{- range $name := list $service $scaling -}}
{{- $names = append $names (printf "%s.%s.svc.%s" $name (include "penstock.namespace" $) $.Values.clusterDomain) -}}
{{- end -}}
{{- end -}}
{{ include "penstock.env.pod" . }}
{{- include "penstock.env.one" (list "PENSTOCK_WATCH_NAMESPACES" $own.watchNamespaces) }}
{{- include "penstock.env.one" (list "PENSTOCK_ALLOW_SHARED_HOSTS" $own.allowSharedHosts) }}
{{- include "penstock.env.one" (list "PENSTOCK_CONTROL_ADDRESS" (printf "%s:%d" $own.bindAddress ($own.ports.control | int))) }}
{{- include "penstock.env.one" (list "PENSTOCK_ADMIN_ADDRESS" (printf "%s:%d" $own.bindAddress ($own.ports.admin | int))) }}
{{- include "penstock.env.one" (list "PENSTOCK_SCALER_ADDRESS" (printf "%s:%d" $own.bindAddress ($own.ports.scaler | int))) }}
{{- include "penstock.env.one" (list "PENSTOCK_EXTERNAL_METRICS_ADDRESS" (printf "%s:%d" $own.bindAddress ($own.ports.metrics | int))) }}
{{- include "penstock.env.one" (list "PENSTOCK_AUTOSCALING_SERVICE" $scaling) }}
{{- with .Values.autoscaling.scalerClientCa }}
{{- if .secretName }}{{- include "penstock.env.one" (list "PENSTOCK_SCALER_CLIENT_CA" .file) }}{{- end }}
{{- end }}
{{- include "penstock.env.one" (list "PENSTOCK_SERVICE" $service) }}
{{- include "penstock.env.one" (list "PENSTOCK_CERTIFICATE_NAMES" $names) }}
{{- include "penstock.env.one" (list "PENSTOCK_CA_NAME" $own.caName) }}
{{- include "penstock.env.one" (list "PENSTOCK_HOST_SERVICE_ACCOUNT" (include "penstock.runtime.serviceAccount" .)) }}
{{- include "penstock.env.one" (list "PENSTOCK_AUDIENCE" $own.audience) }}
{{- include "penstock.env.one" (list "PENSTOCK_LISTENER_PORTS" $own.listenerPorts) }}
{{- include "penstock.env.one" (list "PENSTOCK_LISTENER_ADDRESS" $own.listenerAddress) }}
{{- include "penstock.env.one" (list "PENSTOCK_SHARED_PORT" (include "penstock.sharedPort" .)) }}
{{- include "penstock.env.one" (list "PENSTOCK_PROPAGATION_DELAY" $own.propagationDelay) }}
{{- include "penstock.env.one" (list "PENSTOCK_HOST_GRACE" $own.hostGrace) }}
{{- include "penstock.env.one" (list "PENSTOCK_LEASE" (include "penstock.operator.lease" .)) }}
{{- include "penstock.env.one" (list "PENSTOCK_LEASE_DURATION" $own.leaseDuration) }}
{{- include "penstock.env.one" (list "PENSTOCK_WRITERS" $own.writers) }}
{{- include "penstock.env.one" (list "PENSTOCK_LOG_FORMAT" $own.logFormat) }}
{{- include "penstock.env.one" (list "PENSTOCK_LOG" $own.log) }}
{{- include "penstock.nats.env" (dict "root" . "sides" (include "penstock.operator.nats" . | fromJson).sides) }}
{{- end -}}

{{/* What the operator's container finds where, and what that is. */}}
{{- define "penstock.operator.mounts" -}}
{{- with .Values.autoscaling.scalerClientCa }}
{{- if .secretName }}
- {name: scaler-ca, mountPath: {{ dir .file | quote }}, readOnly: true}
{{- end }}
{{- end }}
{{- include "penstock.nats.mounts" (dict "root" . "sides" (include "penstock.operator.nats" . | fromJson).sides) }}
{{- with .Values.operator.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "penstock.operator.volumes" -}}
{{- with .Values.autoscaling.scalerClientCa }}
{{- if .secretName }}
- name: scaler-ca
  secret: {secretName: {{ .secretName | quote }}, items: [{key: {{ .key | quote }}, path: {{ base .file | quote }}}]}
{{- end }}
{{- end }}
{{- include "penstock.nats.volumes" (dict "root" . "sides" (include "penstock.operator.nats" . | fromJson).sides) }}
{{- with .Values.operator.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "penstock.operator.nats" -}}
{{- include "penstock.nats" (dict "root" . "scheduler" .Values.global.nats.schedulerUrl
  "certificate" .Values.global.certificates.operatorCertSecretName) -}}
{{- end -}}
