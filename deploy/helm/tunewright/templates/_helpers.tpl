{{/* The name of all that a release makes. */}}
{{- define "tunewright.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* What a release's pods are found by. */}}
{{- define "tunewright.selector" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tunewright.labels" -}}
{{ include "tunewright.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "tunewright.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The Secret with keys.json; empty where nobody needs a key. */}}
{{- define "tunewright.keys" -}}
{{- if not .Values.keys.open -}}
{{- if .Values.keys.content -}}
{{ include "tunewright.name" . }}-keys
{{- else -}}
{{ .Values.keys.secret }}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Whether there can be more than one pod; empty: no. */}}
{{- define "tunewright.several" -}}
{{- if or .Values.autoscaling.enabled (gt (int .Values.replicas) 1) -}}yes{{- end -}}
{{- end -}}

{{/* What values.schema.json cannot say: values that contradict each other end with one sentence. */}}
{{- define "tunewright.check" -}}
{{- with .Values -}}
{{- if and .keys.open .keys.content -}}
{{- fail "keys.open and keys.content contradict each other. Leave one out." -}}
{{- end -}}
{{- if not (or .keys.open .keys.content .keys.secret) -}}
{{- fail "Who may ask? Name a Secret in keys.secret, give keys.content (--set-file keys.content=keys.json), or say keys.open=true." -}}
{{- end -}}
{{- if and .state.claim (include "tunewright.several" $) -}}
{{- fail "state.claim holds what one server keeps: set replicas=1 and leave autoscaling off. server.workers gives more processes." -}}
{{- end -}}
{{- if and (or .state.feedback .state.audit) (not .state.claim) -}}
{{- fail "state.feedback and state.audit need a place: name a PersistentVolumeClaim in state.claim." -}}
{{- end -}}
{{- if and .state.keepTexts (not .state.feedback) -}}
{{- fail "state.keepTexts belongs to state.feedback." -}}
{{- end -}}
{{- if and .metrics.serviceMonitor.enabled (not .keys.open) (not .metrics.serviceMonitor.keySecret) -}}
{{- fail "/metrics asks for a key: name a Secret with one of the role predict in metrics.serviceMonitor.keySecret." -}}
{{- end -}}
{{- if and .autoscaling.enabled (lt (int .autoscaling.maxReplicas) (int .autoscaling.minReplicas)) -}}
{{- fail "autoscaling.maxReplicas is less than autoscaling.minReplicas." -}}
{{- end -}}
{{- $names := list -}}
{{- range .models -}}{{- $names = append $names .name -}}{{- end -}}
{{- if ne (len (uniq $names)) (len $names) -}}
{{- fail (printf "Two models have the same name: %s." (join ", " $names)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
