"""What is legal and will surprise in production: one rule per class.

To add a rule:

1. Choose the next free id of its group: PR1xx affinity, PR2xx policies, PR3xx exposure, PR4xx
   endpoints, PR5xx configuration, PR6xx rules and dumps, PR7xx versions. (PR0xx are about `lint`
   itself.) An id is never used again.
2. Write `rules/prNNN_name.py` with one subclass of `LintRule`. The registry finds it there. `check`
   is a generator: it yields `self.finding(...)` for each thing that the plan, the rules or the
   evaluator show, and asks the `Context` for all that it needs; nothing is computed before it is
   asked for, and nothing twice. A rule must not read YAML by itself, and must not guess: where it
   can't know, it yields nothing and calls `context.not_checked` with the reason. `needs` is the
   input without which it has nothing to look at; it is then reported as not checked by itself.
3. Its docstring is its documentation: a first sentence, then the sections `## What goes wrong`,
   `## Why`, `## Bad example`, `## Good example`, `## References`. The first paragraph of
   "What goes wrong" has the symptom in the words that people search for. Examples are fenced
   blocks: `yaml` for manifests (a KubeProxyConfiguration among them is the configuration), `rules`
   for a node's dump, `arguments` for options of the command. They are tests: the bad one gives
   exactly one finding, of this rule; the good one none.
4. Add a fixture `fixtures/lint/prNNN/` (`input.yaml`, and where needed `kube-proxy.yaml`,
   `node.rules`, `args`); `tests/test_lint_rules.py --snapshot-update` writes its goldens.
5. Add an independent check of its condition to `tests/lint_checks/`: a function that takes the
   plain objects of a generated cluster and says for which objects the rule must report. It must
   not use the code of the rule.
6. `python -m compiler.cli.lint_docs docs/lint` writes the pages.
7. A rule about packets has a kernel test in `tests/kernel/` that shows that the pain is real.
"""
