.DEFAULT_GOAL := help
.PHONY: help setup demo live-demo connector-demo connector-real-smoke run test chaos chaos-live storage-smoke lint bench-stt bench-live bench-ingest docs lock clean

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

test: lint ## Check the code and run all tests.
	@.venv/bin/python -m pytest -q

chaos: setup ## Break a running installation at random for ten minutes, then judge it (ARGS=--seed 7).
	@.venv/bin/python scripts/chaos.py $(ARGS)

chaos-live: setup ## Break one live recording a hundred times, then compare all accounts of it.
	@.venv/bin/python scripts/live_disconnects.py $(ARGS)

storage-smoke: setup ## Share one folder between processes and kill a worker (ARGS=--shared-dir DIR).
	@.venv/bin/python scripts/storage_smoke.py $(ARGS)

lint: setup ## Check style, form, types and layers.
	@scripts/lint.sh

bench-stt: setup ## Compare our transcription with plain faster-whisper: words, times, CPU.
	@.venv/bin/python scripts/bench/transcription.py

bench-live: setup ## Measure live captions beside a baseline, 25 minutes (ARGS=--quick, --soak 30).
	@.venv/bin/python scripts/bench/live.py $(ARGS)

bench-ingest: setup ## Measure durable intake beside the floor of the work, 8 minutes (ARGS=--quick: 2).
	@.venv/bin/python scripts/bench/ingest.py $(ARGS)

docs: setup ## Regenerate .env.example and the pages of settings, metrics and readiness.
	@.venv/bin/python scripts/generate_docs.py

lock: setup ## Resolve the dependencies again and write the locks (needs uv).
	@scripts/lock.sh

clean: ## Remove .venv and all caches; what the service stored in data/ stays.
	@rm -rf .venv .demo build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
