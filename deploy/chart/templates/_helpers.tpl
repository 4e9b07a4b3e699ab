{{/*
Templates that several objects use. Texts from values are written with toJson, because a JSON string is a YAML string, whatever it
holds; within a document also with toYaml. At the end of a document Helm would cut off line feeds of a block.
*/}}

{{/* At most 45 characters, so that the longest suffix fits into 63. */}}
{{- define "step-observer.fullname" -}}
{{- $of := ternary .Release.Name (printf "%s-%s" .Release.Name .Chart.Name) (contains .Chart.Name .Release.Name) -}}
{{- default $of .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- end }}

{{- define "step-observer.selectorLabels" -}}
app.kubernetes.io/name: step-observer
app.kubernetes.io/instance: {{ .Release.Name | toJson }}
{{- end }}

{{/* Metadata without name and namespace: a dictionary of `root`, and optionally `labels` and `annotations` of one object. */}}
{{- define "step-observer.metadata" -}}
{{- $own := include "step-observer.selectorLabels" .root | fromYaml -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_") -}}
{{- $_ := set $own "app.kubernetes.io/version" .root.Chart.AppVersion -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" .root.Release.Service -}}
labels: {{ merge $own (deepCopy (default dict .labels)) .root.Values.labels | toJson }}
{{- with merge (deepCopy (default dict .annotations)) .root.Values.annotations }}
annotations: {{ toJson . }}
{{- end }}
{{- end }}

{{- define "step-observer.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "step-observer.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the existing account, or set serviceAccount.create" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{- define "step-observer.image" -}}
{{- $image := .Values.image -}}
{{- $repository := required "image.repository: there is no published image; build one (cargo xtask image), push it, and name it here" $image.repository -}}
{{- if $image.digest -}}
{{- printf "%s@%s" $repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $repository (default .Chart.AppVersion $image.tag | toString) -}}
{{- end -}}
{{- end }}

{{/* The configuration, as the observer gets it, in JSON. */}}
{{- define "step-observer.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- if .Values.auth.enabled -}}
{{- $admin := $config.admin -}}
{{- $_ := set $admin "listen" (printf "0.0.0.0:%s" (include "step-observer.port" $admin.listen)) -}}
{{- if not $admin.auth -}}
{{- $_ := set $admin "auth" (dict "kubernetes" dict) -}}
{{- end -}}
{{- end -}}
{{- if .Values.standby.enabled -}}
{{- $standby := default dict $config.standby -}}
{{- $_ := set $standby "lease" (default (include "step-observer.fullname" .) $standby.lease) -}}
{{- $_ := set $config "standby" $standby -}}
{{- end -}}
{{- toJson $config -}}
{{- end }}

{{/* The port of an address. */}}
{{- define "step-observer.port" -}}
{{- regexFind "[0-9]+$" . -}}
{{- end }}

{{/* Not empty if other pods may reach the pages that show runs. */}}
{{- define "step-observer.showsRuns" -}}
{{- if and .admin.listen .admin.auth (not (regexMatch "^(127\\.|localhost:|\\[::1\\])" .admin.listen)) -}}
true
{{- end -}}
{{- end }}

{{/* Bytes that the volume of the journal needs, in MiB: 128 for its own files, and 128 for each of the two folders with pulled plugins. */}}
{{- define "step-observer.journalMebibytes" -}}
{{- $max := default 1073741824 .journal.maxBytes | int64 -}}
{{- add (div (mul 4 $max) 1048576) 384 -}}
{{- end }}

{{/* Seconds of a span such as 25s or 1h 30m. */}}
{{- define "step-observer.graceSeconds" -}}
{{- $span := default "25s" .shutdownGrace -}}
{{- if not (regexMatch "^([0-9]+ *[hms] *)+$" $span) -}}
{{- fail (printf "config.shutdownGrace: %s: give it as hours, minutes and seconds (1m 30s): the pod's terminationGracePeriodSeconds follows from it" (toJson $span)) -}}
{{- end -}}
{{- $seconds := 0 -}}
{{- range regexFindAll "[0-9]+ *[hms]" $span -1 -}}
{{- $unit := get (dict "h" 3600 "m" 60 "s" 1) (regexFind "[hms]" .) -}}
{{- $seconds = add $seconds (mul $unit (regexFind "[0-9]+" . | int64)) -}}
{{- end -}}
{{- $seconds -}}
{{- end }}

{{/* Refuses values that do not go together. */}}
{{- define "step-observer.validate" -}}
{{- $config := .Values.config -}}
{{- if and (gt (int .Values.shards) 1) (not .Values.durable.enabled) -}}
{{- fail "shards: more than one observer needs a volume for each: set durable.enabled" -}}
{{- end -}}
{{- if and .Values.standby.enabled .Values.durable.enabled -}}
{{- fail "standby.enabled: each of the two observers has a journal of its own on its node: set durable.enabled or standby.enabled, not both" -}}
{{- end -}}
{{- if and (hasKey $config "standby") (not .Values.standby.enabled) $config.standby -}}
{{- fail "config.standby: set standby.enabled, which also makes two pods and grants the right to the Lease" -}}
{{- end -}}
{{- if gt (default 1 ($config.cluster).shards | int) 1 -}}
{{- fail "config.cluster.shards: set `shards` instead, which also sets the number of pods" -}}
{{- end -}}
{{- range list "probes" "metrics" "listen" -}}
{{- if and (not (get (default dict $config.admin) .)) (or (ne . "listen") $.Values.auth.enabled) -}}
{{- fail (printf "config.admin.%s: an address is needed, such as 0.0.0.0:8080" .) -}}
{{- end -}}
{{- end -}}
{{- if not ($config.journal).directory -}}
{{- fail "config.journal.directory: a folder is needed: the volume of the journal is mounted there" -}}
{{- end -}}
{{- if .Values.durable.enabled -}}
{{- $size := .Values.durable.size -}}
{{- $unit := get (dict "Mi" 1 "Gi" 1024 "Ti" 1048576) (regexFind "[A-Za-z]+$" $size) -}}
{{- $needed := include "step-observer.journalMebibytes" $config | int64 -}}
{{- if lt (mul $unit (regexFind "^[0-9]+" $size | int64)) $needed -}}
{{- fail (printf "durable.size: %s is less than four times config.journal.maxBytes and 384 MiB: %dMi" $size $needed) -}}
{{- end -}}
{{- end -}}
{{- end }}
