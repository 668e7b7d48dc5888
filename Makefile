# Each target is one line that a person could type; .venv and node_modules are made on first use.
PYTHON ?= python3
BIN := .venv/bin
BUS := Endpoint=sb://127.0.0.1;SharedAccessKeyName=RootManageSharedAccessKey;SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;

.PHONY: run demo test bench check

run: .venv/ready node_modules/ready    ## Azurite, Service Bus, sandbox and host, until Ctrl-C; HOSTS=3 for three hosts
	$(BIN)/python -m demo.stack$(HOSTS:%= --hosts %)

demo: .venv/ready node_modules/ready   ## real orders through the app, and what became of each
	$(BIN)/python -m demo

test: .venv/ready node_modules/ready   ## unit, integration, conformance and acceptance tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

bench: .venv/bench node_modules/ready  ## devhost beside its peers and the floor
	$(BIN)/python -m bench $(ARGS)

check: .venv/ready                     ## style, and that every function loads
	$(BIN)/ruff check . && AzureWebJobsStorage=UseDevelopmentStorage=true AzureWebJobsServiceBus='$(BUS)' $(BIN)/python -m devhost check

.venv/ready: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-dev.txt
	touch $@

.venv/bench: .venv/ready requirements-bench.txt
	$(BIN)/python -m pip install -qq --disable-pip-version-check -r requirements-bench.txt
	touch $@

node_modules/ready: package.json package-lock.json
	npm ci --silent
	touch $@
