"""What has the store been told, what was it before, and what would it be?"""
