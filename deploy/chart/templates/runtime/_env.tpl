{{/* What a host is told: each of its flags, as a variable of the environment: of (dict "root" $ "group" GROUP). */}}
{{- define "penstock.host.env" -}}
{{- $own := .group -}}
{{- include "penstock.env.pod" . }}
- {name: NODE_NAME, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
{{- if eq $own.protocol "control" }}
{{- include "penstock.env.one" (list "PENSTOCK_OPERATOR" (include "penstock.host.operatorUrl" .)) }}
{{- include "penstock.env.one" (list "PENSTOCK_OPERATOR_NAME" $own.operatorName) }}
{{- include "penstock.env.one" (list "PENSTOCK_TOKEN_FILE" $own.tokenFile) }}
{{- include "penstock.env.one" (list "PENSTOCK_CA_FILE" $own.caFile) }}
{{- end }}
{{- include "penstock.env.one" (list "PENSTOCK_ADMIN" (printf "%s:%d" $own.bindAddress ($own.ports.admin | int))) }}
{{- include "penstock.env.one" (list "PENSTOCK_PEER" (printf "%s:%d" $own.bindAddress ($own.ports.peer | int))) }}
{{- include "penstock.env.one" (list "PENSTOCK_CACHE_DIR" $own.cacheDir) }}
{{- include "penstock.env.one" (list "PENSTOCK_SECRETS_DIR" $own.secretsDir) }}
{{- if $own.sharedCode.enabled }}
{{- include "penstock.env.one" (list "PENSTOCK_SHARED_CODE_DIR" $own.sharedCode.directory) }}
{{- include "penstock.env.one" (list "PENSTOCK_SHARED_CODE_KEY" $own.sharedCode.keyFile) }}
{{- end }}
{{- include "penstock.env.one" (list "PENSTOCK_DRAIN_DELAY" $own.drainDelay) }}
{{- include "penstock.env.one" (list "PENSTOCK_DRAIN_TIMEOUT" $own.drainTimeout) }}
{{- include "penstock.env.one" (list "PENSTOCK_MAX_INSTANCES" $own.maxInstances) }}
{{- include "penstock.env.one" (list "PENSTOCK_DEFAULT_MEMORY_MIB" $own.defaultMemoryMib) }}
{{- include "penstock.env.one" (list "PENSTOCK_INSECURE_REGISTRIES" $own.insecureRegistries) }}
{{- include "penstock.env.one" (list "PENSTOCK_TRUSTED_PROXIES" $own.trustedProxies) }}
{{- include "penstock.env.one" (list "PENSTOCK_PROXY_PROTOCOL_FROM" $own.proxyProtocolFrom) }}
{{- include "penstock.env.one" (list "PENSTOCK_FORWARDING" $own.forwarding) }}
{{- include "penstock.env.one" (list "PENSTOCK_TRACE_CONTEXT" $own.traceContext) }}
{{- if $own.loadReports }}
{{- include "penstock.env.one" (list "PENSTOCK_LOAD_REPORTS" "true") }}
{{- end }}
{{- include "penstock.env.one" (list "PENSTOCK_LOG_FORMAT" $own.logFormat) }}
{{- include "penstock.env.one" (list "PENSTOCK_LOG" $own.log) }}
{{- include "penstock.nats.env" (dict "root" .root "sides" (include "penstock.host.nats" . | fromJson).sides) }}
{{- end -}}

{{- define "penstock.host.operatorUrl" -}}
{{- $root := .root -}}
{{- $service := printf "%s.%s.svc.%s" (include "penstock.operator.service" $root) (include "penstock.namespace" $root) $root.Values.clusterDomain -}}
{{- default (printf "https://%s:%d" $service ($root.Values.operator.service.port | int)) .group.operatorUrl -}}
{{- end -}}

{{- define "penstock.host.nats" -}}
{{- $certificates := .root.Values.global.certificates -}}
{{- include "penstock.nats" (dict "root" .root "scheduler" .group.schedulerNatsUrl "data" .group.dataNatsUrl
  "certificate" $certificates.runtimeCertSecretName "dataCertificate" $certificates.dataCertSecretName) -}}
{{- end -}}

{{/* What a host's container finds where. */}}
{{- define "penstock.host.mounts" -}}
{{- $own := .group -}}
{{- if eq $own.protocol "control" }}
- {name: token, mountPath: {{ dir $own.tokenFile | quote }}, readOnly: true}
- {name: ca, mountPath: {{ dir $own.caFile | quote }}, readOnly: true}
{{- end }}
- {name: secrets, mountPath: {{ $own.secretsDir | quote }}}
- {name: cache, mountPath: {{ $own.cacheDir | quote }}}
- {name: tmp, mountPath: {{ $own.tmpDir | quote }}}
{{- if $own.sharedCode.enabled }}
- {name: shared-code, mountPath: {{ $own.sharedCode.directory | quote }}}
- {name: shared-code-key, mountPath: {{ dir $own.sharedCode.keyFile | quote }}, readOnly: true}
{{- end }}
{{- include "penstock.nats.mounts" (dict "root" .root "sides" (include "penstock.host.nats" . | fromJson).sides) }}
{{- with $own.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "penstock.host.volumes" -}}
{{- $own := .group -}}
{{- if eq $own.protocol "control" }}
# Bound to this pod, for the operator's eyes only: the API server refuses it.
- name: token
  projected:
    sources:
    - serviceAccountToken:
        audience: {{ .root.Values.operator.audience | quote }}
        expirationSeconds: {{ $own.tokenExpirationSeconds | int }}
        path: {{ base $own.tokenFile | quote }}
- name: ca
  configMap: {name: {{ .root.Values.operator.caName | quote }}, items: [{key: ca.crt, path: {{ base $own.caFile | quote }}}]}
{{- end }}
{{- range $name, $source := $own.volumes }}
- name: {{ $name }}
  {{- toYaml $source | nindent 2 }}
{{- end }}
{{- if $own.sharedCode.enabled }}
- name: shared-code
  {{- toYaml $own.sharedCode.volume | nindent 2 }}
- name: shared-code-key
  secret: {secretName: {{ $own.sharedCode.secretName | quote }}, items: [{key: {{ $own.sharedCode.secretKey | quote }}, path: {{ base $own.sharedCode.keyFile | quote }}}]}
{{- end }}
{{- include "penstock.nats.volumes" (dict "root" .root "sides" (include "penstock.host.nats" . | fromJson).sides) }}
{{- with $own.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
