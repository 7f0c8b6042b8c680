{{/* What the operator may do, and no more. */}}

{{/* In all of the cluster, whatever namespaces it looks after. */}}
{{- define "penstock.rules.cluster" -}}
# Zones, and cordons.
- {apiGroups: [""], resources: [nodes], verbs: [get, list, watch]}
# Whose token a host's is.
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
# Whether there can be routes and policies.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames:
  {{- if .Values.rbac.gatewayApi }}
  - httproutes.gateway.networking.k8s.io
  - grpcroutes.gateway.networking.k8s.io
  - referencegrants.gateway.networking.k8s.io
  {{- end }}
  - trafficpolicies.penstock.dev
  verbs: [get, list, watch]
{{- with .Values.rbac.extraClusterRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Where it looks after workloads and Services. */}}
{{- define "penstock.rules.workloads" -}}
# What people write is read; what follows from it is written.
- {apiGroups: [runtime.wasmcloud.dev], resources: [workloaddeployments], verbs: [get, list, watch]}
- {apiGroups: [penstock.dev], resources: [trafficpolicies], verbs: [get, list, watch]}
# `spec.autoscaling` scales as anybody does, unless another autoscaler does so already.
- {apiGroups: [runtime.wasmcloud.dev], resources: [workloaddeployments/scale], verbs: [patch]}
- {apiGroups: [autoscaling], resources: [horizontalpodautoscalers], verbs: [get, list, watch]}
- {apiGroups: [runtime.wasmcloud.dev], resources: [workloadreplicasets, workloads], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [runtime.wasmcloud.dev], resources: [workloaddeployments/status, workloadreplicasets/status, workloads/status], verbs: [patch]}
# An owner reference that blocks its owner's deletion asks for this where the API server enforces it.
- {apiGroups: [runtime.wasmcloud.dev], resources: [workloaddeployments/finalizers, workloadreplicasets/finalizers], verbs: [update]}
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [""], resources: [services], verbs: [get, list, watch]}
- {apiGroups: [""], resources: [services/status], verbs: [patch]}
- {apiGroups: [""], resources: [services/finalizers], verbs: [update]}
{{- if .Values.rbac.gatewayApi }}
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes, grpcroutes, referencegrants], verbs: [get, list, watch]}
- {apiGroups: [gateway.networking.k8s.io], resources: [httproutes/status, grpcroutes/status], verbs: [patch]}
{{- end }}
# `configFrom`, `secretFrom`, `imagePullSecret` and Services' certificates name these.
- {apiGroups: [""], resources: [configmaps, secrets], verbs: [get, list, watch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
{{- with .Values.rbac.extraRules }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* In its own namespace: the hosts and their pods, who leads, its authority (Secret) and what hosts trust (ConfigMap). */}}
{{- define "penstock.rules.own" -}}
- {apiGroups: [""], resources: [pods], verbs: [get, list, watch]}
- {apiGroups: [runtime.wasmcloud.dev], resources: [hosts], verbs: [get, list, watch, create, patch, delete]}
- {apiGroups: [runtime.wasmcloud.dev], resources: [hosts/status], verbs: [patch]}
- {apiGroups: [events.k8s.io], resources: [events], verbs: [create, patch]}
# Whoever leads has the autoscaling Service lead to itself: a slice for each family of addresses.
- {apiGroups: [discovery.k8s.io], resources: [endpointslices], verbs: [create]}
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  resourceNames: [{{ include "penstock.autoscaling.service" . }}-ipv4, {{ include "penstock.autoscaling.service" . }}-ipv6]
  verbs: [patch]
# What is to be made has no name yet for the API server to compare.
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create]}
- {apiGroups: [coordination.k8s.io], resources: [leases], resourceNames: [{{ include "penstock.operator.lease" . | quote }}], verbs: [get, list, watch, patch, update]}
- {apiGroups: [""], resources: [secrets, configmaps], verbs: [create]}
- {apiGroups: [""], resources: [secrets, configmaps], resourceNames: [{{ .Values.operator.caName | quote }}], verbs: [get, list, watch, patch, update]}
{{- end -}}
