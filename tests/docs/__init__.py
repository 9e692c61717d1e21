"""Do the pages say what the program does?"""
