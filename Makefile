.DEFAULT_GOAL := help
.PHONY: help setup demo live-demo connector-demo connector-real-smoke run test e2e-smoke load-smoke compose-local chaos chaos-live storage-smoke lint bench-stt bench-live bench-ingest docs lock clean

help: ## Print the verbs.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-21s %s\n", $$1, $$2 }' Makefile

setup: ## Make .venv from requirements.lock; done in no time when nothing changed.
	@scripts/setup.sh

demo: setup ## Send the sample interview through the whole service and print what comes out.
	@.venv/bin/python scripts/demo.py

live-demo: setup ## Let two speakers talk at once and show their captions live.
	@.venv/bin/python scripts/live_demo.py

connector-demo: setup ## Send a bot into a meeting of a fake gateway: captions, then a report.
	@.venv/bin/python scripts/connector_demo.py

connector-real-smoke: setup ## Join one real meeting through your gateway and judge that; see docs/connectors.
	@.venv/bin/python scripts/connector_real_smoke.py

run: setup ## Keep the service up on 127.0.0.1:8010, with everything it needs.
	@.venv/bin/python -m interview_agent

test: lint ## Check the code and run all tests, three files at a time.
	@.venv/bin/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder

chaos: setup ## Break a running installation at random for ten minutes, then judge it (ARGS=--seed 7).
	@.venv/bin/python scripts/chaos.py $(ARGS)

chaos-live: setup ## Break one live recording a hundred times, then compare all accounts of it.
	@.venv/bin/python scripts/live_disconnects.py $(ARGS)

e2e-smoke: setup ## Send one meeting through a service, its own or a running one (ARGS=--base-url URL).
	@.venv/bin/python scripts/e2e_local.py $(ARGS)

load-smoke: setup ## Send 20 meetings at once over HTTP, 20 over WebSocket, and judge (ARGS=--base-url URL).
	@.venv/bin/python scripts/load_smoke.py $(ARGS)

compose-local: setup ## Start the services of docker-compose.yml as processes (ARGS=--check).
	@.venv/bin/python scripts/compose_local.py $(ARGS)

storage-smoke: setup ## Share one folder between processes and kill a worker (ARGS=--shared-dir DIR).
	@.venv/bin/python scripts/storage_smoke.py $(ARGS)

lint: setup ## Check style, form, types and layers.
	@scripts/lint.sh

bench-stt: setup ## Compare our transcription with plain faster-whisper: words, times, CPU.
	@.venv/bin/python scripts/bench/transcription.py

bench-live: setup ## Measure live captions beside a baseline, 25 minutes (ARGS=--quick, --soak 30).
	@.venv/bin/python scripts/bench/live.py $(ARGS)

bench-ingest: setup ## Measure durable intake beside the floor of the work, 8 minutes (ARGS=--quick: 3).
	@.venv/bin/python scripts/bench/ingest.py $(ARGS)

docs: setup ## Regenerate .env.example, docs/openapi.json, and pages and tables of docs/.
	@.venv/bin/python scripts/generate_docs.py

lock: setup ## Resolve the dependencies again and write the locks (needs uv).
	@scripts/lock.sh

clean: ## Remove .venv and all caches; what the service stored in data/ stays.
	@rm -rf .venv .demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
