{{/* What a ServiceMonitor's or PodMonitor's endpoint says: of (dict "of" MONITOR "port" NAME). */}}
{{- define "penstock.monitor.endpoint" -}}
port: {{ .port }}
path: {{ .of.path }}
interval: {{ .of.interval }}
{{- with .of.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- with .of.relabelings }}
relabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .of.metricRelabelings }}
metricRelabelings: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
