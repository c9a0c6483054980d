"""What the proof ``schemas`` looks for."""

from __future__ import annotations

from constructs_lib.check.finding import Check, Severity

_API = "https://kubernetes.io/docs/reference/kubernetes-api"
_NAMES = "https://kubernetes.io/docs/concepts/overview/working-with-objects/names/"
_LABELS = "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#syntax-and-character-set"
_CORE = "https://github.com/kubernetes/kubernetes/blob/master/pkg/apis/core/validation/validation.go"
_FIELDS = "https://kubernetes.io/docs/reference/using-api/api-concepts/#field-validation"

UNREADABLE = Check(
    "unreadable-file",
    Severity.ERROR,
    "A file cannot be read",
    "Argo CD cannot compare the Application any more, and syncs nothing of it.",
    "Mend the YAML or JSON.",
    "https://argo-cd.readthedocs.io/en/stable/user-guide/directory/",
)
DUPLICATE_KEY = Check(
    "duplicate-key",
    Severity.ERROR,
    "A key is there twice in one mapping",
    "The last one counts and the other is lost without a word; Kustomize refuses the file.",
    "Keep one of them.",
    "https://yaml.org/spec/1.2.2/#3213-node-comparison",
)
UNKNOWN_KIND = Check(
    "unknown-kind",
    Severity.ERROR,
    "There is no such kind",
    "The API server refuses the object.",
    "Name the kind and the apiVersion that are meant.",
    f"{_API}/",
)
REMOVED_API_VERSION = Check(
    "removed-api-version",
    Severity.ERROR,
    "An API version is not served any more",
    "The API server refuses the object.",
    "Move to the version that replaced it.",
    "https://kubernetes.io/docs/reference/using-api/deprecation-guide/",
)
DEPRECATED_API_VERSION = Check(
    "deprecated-api-version",
    Severity.WARNING,
    "An API version is deprecated",
    "An upgrade of the cluster will remove it.",
    "Move to the version that replaces it.",
    "https://kubernetes.io/docs/reference/using-api/deprecation-guide/",
)
KIND_WITHOUT_SCHEMA = Check(
    "kind-without-schema",
    Severity.WARNING,
    "Nothing is known of a custom kind",
    "A misspelled field in one of its objects is found by nobody before the cluster.",
    "Put its CustomResourceDefinition into the tree.",
    "https://kubernetes.io/docs/concepts/extend-kubernetes/api-extension/custom-resources/",
)
UNKNOWN_FIELD = Check(
    "unknown-field",
    Severity.ERROR,
    "An object has a field that its kind does not have",
    "The API server refuses it, or drops it without a word.",
    "Spell it as the kind does, or take it away.",
    _FIELDS,
)
WRONG_TYPE = Check(
    "wrong-type",
    Severity.ERROR,
    "A field has a value of the wrong type",
    "The API server refuses the object.",
    "Give a value of the type; texts that look like numbers or truths need quotes in YAML.",
    _FIELDS,
)
MISSING_FIELD = Check(
    "missing-field",
    Severity.ERROR,
    "An object lacks a field that it must have",
    "The API server refuses the object.",
    "Give it.",
    _FIELDS,
)
BAD_VALUE = Check(
    "bad-value",
    Severity.ERROR,
    "A field has a value that it may not have",
    "The API server refuses the object.",
    "Give one of the values that are allowed.",
    _CORE,
)
NULL_VALUE = Check(
    "null-value",
    Severity.WARNING,
    "A key has no value",
    "The API server drops it, and Argo CD shows the object as OutOfSync for ever.",
    'Write "" for an empty text, or take the key away.',
    "https://github.com/argoproj/argo-cd/issues/941",
)
CONTRADICTION = Check(
    "contradictory-fields",
    Severity.ERROR,
    "Two fields exclude each other",
    "The API server refuses the object, or one of them is ignored.",
    "Keep one of them.",
    _CORE,
)
BAD_NAME = Check(
    "bad-name",
    Severity.ERROR,
    "A name is not made of what names are made of",
    "The API server refuses the object.",
    "Use lower-case letters, digits and hyphens.",
    _NAMES,
)
NAME_TOO_LONG = Check(
    "name-too-long",
    Severity.ERROR,
    "A name leaves no room for what is appended to it",
    "Its pods cannot be created: their labels or names would have more than 63 characters.",
    "Shorten the name.",
    "https://github.com/kubernetes/kubernetes/issues/64023",
)
BAD_LABEL = Check(
    "bad-label",
    Severity.ERROR,
    "A label, its key or the key of an annotation is not made of what it may be made of",
    "The API server refuses the object.",
    "A value has at most 63 letters, digits, hyphens, underscores and dots, and ends with a letter or digit.",
    _LABELS,
)
TOO_LARGE = Check(
    "size-limit-exceeded",
    Severity.ERROR,
    "An object is larger than it may be",
    "The API server refuses it.",
    "Make several of it, or keep the data elsewhere.",
    "https://kubernetes.io/docs/concepts/configuration/configmap/",
)
BAD_PORT = Check(
    "bad-port",
    Severity.ERROR,
    "A port is none",
    "The API server refuses the object.",
    "A number is from 1 to 65535; a name has at most 15 lower-case letters, digits and hyphens, one letter at least.",
    f"{_API}/workload-resources/pod-v1/#ports",
)
DUPLICATE_NAME = Check(
    "duplicate-name",
    Severity.ERROR,
    "Two entries of a list have the same name",
    "The API server refuses the object.",
    "Give each its own.",
    _CORE,
)
DUPLICATE_ENTRY = Check(
    "duplicate-entry",
    Severity.WARNING,
    "Two entries of a list mean the same",
    "Only the last one counts, and a server-side apply refuses both.",
    "Keep one of them.",
    "https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy",
)
BAD_QUANTITY = Check(
    "bad-quantity",
    Severity.ERROR,
    "A quantity is none",
    "The API server refuses the object, or a container cannot run with it.",
    "Write 250m for a quarter of a processor, 256Mi for memory.",
    "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#resource-units-in-kubernetes",
)
REQUEST_ABOVE_LIMIT = Check(
    "request-above-limit",
    Severity.ERROR,
    "A container requests more than its limit",
    "The API server refuses the pod.",
    "Raise the limit or lower the request.",
    "https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/",
)
BAD_IMAGE = Check(
    "bad-image",
    Severity.ERROR,
    "The name of an image is none",
    "The kubelet cannot pull it: InvalidImageName.",
    "Write REGISTRY/NAME:TAG@sha256:DIGEST; names have no capitals.",
    "https://github.com/distribution/reference/blob/main/reference.go",
)
BAD_SCHEDULE = Check(
    "bad-schedule",
    Severity.ERROR,
    "A schedule or time zone is none",
    "The API server refuses the CronJob, or it never runs.",
    "Write minute, hour, day of the month, month and day of the week, such as 30 2 * * *.",
    "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-syntax",
)
SELECTOR_MISSES_TEMPLATE = Check(
    "selector-misses-template",
    Severity.ERROR,
    "A workload does not select the pods that it makes",
    "The API server refuses it.",
    "Give the template every label of the selector.",
    "https://kubernetes.io/docs/concepts/workloads/controllers/deployment/#selector",
)
BAD_SELECTOR = Check(
    "bad-selector",
    Severity.ERROR,
    "A selector is none",
    "The API server refuses the object.",
    "In and NotIn need values, Exists and DoesNotExist have none.",
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#resources-that-support-set-based-requirements",
)
BAD_RANGE = Check(
    "bad-range",
    Severity.ERROR,
    "A number is out of its range",
    "The API server refuses the object.",
    "Give a number in the range.",
    _CORE,
)
UNKNOWN_SYNC_OPTION = Check(
    "unknown-sync-option",
    Severity.WARNING,
    "A sync option is unknown",
    "Argo CD ignores it without a word.",
    "Spell it as Argo CD does.",
    "https://argo-cd.readthedocs.io/en/stable/user-guide/sync-options/",
)
CHECKS = (
    UNREADABLE,
    DUPLICATE_KEY,
    UNKNOWN_KIND,
    REMOVED_API_VERSION,
    DEPRECATED_API_VERSION,
    KIND_WITHOUT_SCHEMA,
    UNKNOWN_FIELD,
    WRONG_TYPE,
    MISSING_FIELD,
    BAD_VALUE,
    NULL_VALUE,
    CONTRADICTION,
    BAD_NAME,
    NAME_TOO_LONG,
    BAD_LABEL,
    TOO_LARGE,
    BAD_PORT,
    DUPLICATE_NAME,
    DUPLICATE_ENTRY,
    BAD_QUANTITY,
    REQUEST_ABOVE_LIMIT,
    BAD_IMAGE,
    BAD_SCHEDULE,
    SELECTOR_MISSES_TEMPLATE,
    BAD_SELECTOR,
    BAD_RANGE,
    UNKNOWN_SYNC_OPTION,
)
