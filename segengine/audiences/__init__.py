"""Who are we addressing?"""
