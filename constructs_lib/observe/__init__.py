"""What is measured, shown and alerted on: monitors, rules, alerts and dashboards, all from the declaration."""
