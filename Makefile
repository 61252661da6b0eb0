# The front door. Every target works on a bare Debian 12 or 13 with git, make
# and a Rust toolchain, as root or as a user with sudo.
#
#   NAME=demo     which host (several can be up, on other ports)
#   HOSTS=3       `make up` a fleet of so many, called NAME-1 to NAME-3
#   CMD='…'       what `make shell` runs instead of a shell
#   UNIT=…        whose journal `make logs` shows

NAME ?= demo
HOSTS ?= 1
host := host/run.sh --name $(NAME)

.PHONY: help up down status shell logs deb test test-long lint bench soak vagrant-test clean distclean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: ## Bring the whole stack up on a real systemd and print where it answers
	@$(host) up --hosts $(HOSTS)

down: ## End it; nothing of it keeps running
	@$(host) down

status: ## Show each service's state, address and health
	@$(host) status

# CMD comes through the environment, so that its quotes survive.
shell: export COMMAND := $(value CMD)
shell: ## Open a root shell in the host, or run CMD there
	@$(host) shell $(if $(value CMD),--command "$$COMMAND")

logs: ## Follow the journal of the stack, or of UNIT
	@$(host) logs $(addprefix --unit=,$(UNIT))

deb: ## Build the .deb packages into target/debian
	@$(host) deb

test: ## Check everything, up to breaking a real host and watching it heal
	@$(host) test

test-long: ## Check what takes longer: every way to deploy, each document's exercises, a fleet
	@$(host) machine-test -- -m long

vagrant-test: ## Run the Vagrantfile for real, under software emulation (an hour)
	@tests/vagrant/run.sh --transcript docs/vagrant-test.md

lint: ## Check formatting, lints, rules, playbook and unit files
	@$(host) lint

bench: ## Measure healing, intake, scrapes and the API beside peers, in one run
	@$(host) bench

soak: ## Run the campaigns of the tests at full size (20 minutes); writes docs/soak.md
	@$(host) soak

clean: ## End every host and remove its files
	@$(host) clean

distclean: ## Remove the caches and the virtual environment as well
	@$(host) distclean
