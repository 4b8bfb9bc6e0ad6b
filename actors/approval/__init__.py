"""Operations that wait until an operator has approved them."""
