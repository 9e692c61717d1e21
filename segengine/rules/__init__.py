"""Who satisfies this condition?

text -> Expr (parse) -> CheckedRule (check) -> Plan (plan) -> bitmap (evaluate); each stage has
its own type.
"""
