"""What the runtimes of programs are busy with, as their agents see it."""

from __future__ import annotations

from constructs_lib.grafana.model import CHOSEN, RANGE, Panel, Query, Row


def jvm() -> Row:
    """Return the row about the Java virtual machine."""
    heap = f'{CHOSEN}, jvm_memory_type="heap"'
    return Row(
        "JVM",
        (
            Panel(
                "heap",
                "Heap",
                "Heap of each pod, of what it may become. Near 1 after each collection, an OutOfMemoryError is near.",
                "percentunit",
                (
                    Query(
                        f"sum by (pod) (jvm_memory_used_bytes{{{heap}}}) "
                        f"/ sum by (pod) (jvm_memory_limit_bytes{{{heap}}})",
                        "{{pod}}",
                    ),
                ),
                warning=0.85,
                critical=0.95,
                maximum=1,
                width=8,
            ),
            Panel(
                "gc",
                "Garbage collection",
                "Share of the time that each pod spends on garbage collection. Above a tenth the heap is too small.",
                "percentunit",
                (
                    Query(
                        f"sum by (pod) (rate(jvm_gc_duration_seconds_sum{{{CHOSEN}}}[{RANGE}]))",
                        "{{pod}}",
                    ),
                ),
                warning=0.1,
                critical=0.3,
                width=8,
            ),
            Panel(
                "threads",
                "Threads",
                "Threads by state. A number that only grows is a leak; many that are blocked wait for one lock.",
                "none",
                (Query(f"sum by (jvm_thread_state) (jvm_thread_count{{{CHOSEN}}})", "{{jvm_thread_state}}"),),
                stacked=True,
                width=8,
            ),
        ),
    )


def nodejs() -> Row:
    """Return the row about Node.js."""
    return Row(
        "Node.js",
        (
            Panel(
                "eventloop-delay",
                "Event loop delay",
                "How late the event loop of each pod is, 99 % of the time at most. Everything else waits meanwhile: "
                "look for work that blocks it.",
                "s",
                (Query(f"max by (pod) (nodejs_eventloop_delay_p99{{{CHOSEN}}})", "{{pod}}"),),
                warning=0.1,
                critical=0.5,
                width=8,
            ),
            Panel(
                "eventloop-utilization",
                "Event loop utilization",
                "Share of the time that the event loop of each pod is busy. At 1 a pod can do no more: add pods.",
                "percentunit",
                (Query(f"max by (pod) (nodejs_eventloop_utilization{{{CHOSEN}}})", "{{pod}}"),),
                warning=0.7,
                critical=0.9,
                maximum=1,
                width=8,
            ),
            Panel(
                "v8-heap",
                "Heap",
                "Heap that each pod uses, in all of V8's spaces.",
                "bytes",
                (Query(f"sum by (pod) (v8js_memory_heap_used{{{CHOSEN}}})", "{{pod}}"),),
                width=8,
            ),
        ),
    )
