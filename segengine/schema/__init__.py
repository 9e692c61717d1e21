"""What may be said about a buyer, a product, an event?"""
