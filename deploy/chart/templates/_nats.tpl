{{/* NATS that somebody brings along: URLs, credentials and certificates, for the control plane ("scheduler") and for what components send and
     store ("data"). Nothing of it is rendered without a URL. */}}

{{/* The sides in use, as JSON: {"sides": [{name, url, variable, credentials, ca, certificate}]}: of
     (dict "root" $ "scheduler" URL "data" URL "certificate" SECRET "dataCertificate" SECRET). */}}
{{- define "penstock.nats" -}}
{{- $global := .root.Values.global -}}
{{- $sides := list -}}
{{- if .scheduler -}}
{{- $sides = append $sides (dict "name" "scheduler" "variable" "PENSTOCK_SCHEDULER_NATS" "url" .scheduler "credentials" $global.nats.schedulerCredentials
  "ca" $global.certificates.caSecretName "certificate" .certificate) -}}
{{- end -}}
{{- if .data -}}
{{- $sides = append $sides (dict "name" "data" "variable" "PENSTOCK_DATA_NATS" "url" .data "credentials" $global.nats.dataCredentials
  "ca" (default $global.certificates.caSecretName $global.certificates.dataCaSecretName) "certificate" .dataCertificate) -}}
{{- end -}}
{{- if not $global.tls.enabled -}}
{{- range $sides -}}{{- $_ := set . "ca" "" -}}{{- $_ := set . "certificate" "" -}}{{- end -}}
{{- end -}}
{{- dict "sides" $sides | toJson -}}
{{- end -}}

{{/* Variables of the environment: of (dict "root" $ "sides" SIDES). */}}
{{- define "penstock.nats.env" -}}
{{- $global := .root.Values.global -}}
{{- range $side := .sides }}
{{- $folder := printf "%s/%s" $global.nats.directory $side.name }}
{{- include "penstock.env.one" (list (printf "%s_URL" $side.variable) $side.url) }}
{{- if $side.credentials.secretName }}
{{- include "penstock.env.one" (list (printf "%s_CREDENTIALS" $side.variable) (printf "%s/credentials" $folder)) }}
{{- end }}
{{- if $global.tls.enabled }}
{{- include "penstock.env.one" (list (printf "%s_TLS" $side.variable) "true") }}
{{- if $global.tls.first }}{{- include "penstock.env.one" (list (printf "%s_TLS_FIRST" $side.variable) "true") }}{{- end }}
{{- if $side.ca }}{{- include "penstock.env.one" (list (printf "%s_TLS_CA" $side.variable) (printf "%s/ca.crt" $folder)) }}{{- end }}
{{- if $side.certificate }}
{{- include "penstock.env.one" (list (printf "%s_TLS_CERTIFICATE" $side.variable) (printf "%s/tls.crt" $folder)) }}
{{- include "penstock.env.one" (list (printf "%s_TLS_KEY" $side.variable) (printf "%s/tls.key" $folder)) }}
{{- end }}
{{- end }}
{{- end }}
{{- if .sides }}{{- include "penstock.env.one" (list "PENSTOCK_NATS_SUBJECT_PREFIX" $global.nats.subjectPrefix) }}{{- end }}
{{- end -}}

{{- define "penstock.nats.mounts" -}}
{{- range .sides }}
{{- if or .credentials.secretName .ca .certificate }}
- {name: nats-{{ .name }}, mountPath: {{ printf "%s/%s" $.root.Values.global.nats.directory .name | quote }}, readOnly: true}
{{- end }}
{{- end }}
{{- end -}}

{{- define "penstock.nats.volumes" -}}
{{- range $side := .sides }}
{{- if or $side.credentials.secretName $side.ca $side.certificate }}
- name: nats-{{ $side.name }}
  projected:
    sources:
    {{- if $side.credentials.secretName }}
    - secret: {name: {{ $side.credentials.secretName }}, items: [{key: {{ $side.credentials.key }}, path: credentials}]}
    {{- end }}
    {{- if $side.ca }}
    - secret: {name: {{ $side.ca }}, items: [{key: {{ $.root.Values.global.certificates.caKey }}, path: ca.crt}]}
    {{- end }}
    {{- if $side.certificate }}
    - secret: {name: {{ $side.certificate }}, items: [{key: tls.crt, path: tls.crt}, {key: tls.key, path: tls.key}]}
    {{- end }}
{{- end }}
{{- end }}
{{- end -}}
