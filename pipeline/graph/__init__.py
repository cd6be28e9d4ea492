"""All that wires Beam, and nothing else: `flow` above is the graph that is made of it.

`transforms` are the steps with their shuffles, `dofns` what is called for an element, `combiners`
what becomes one value for all workers, `tags` the names of what a step gives, `cores` how a step
uses all cores of one machine, `answers` what Beam is told when it asks again, and `sampling` how
often it looks at its steps.
"""
