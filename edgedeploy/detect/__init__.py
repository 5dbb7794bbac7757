"""The pipeline detective: which contract was a network trained with?"""
