"""What does this buyer see?"""
