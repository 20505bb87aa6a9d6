package dev.podflare.guest;

/** The guest was lost, before or during the operation. Nothing can be asked of it any more. */
public final class GuestLostException extends GuestException {

  private static final long serialVersionUID = 1L;

  private final transient GuestLoss loss;

  GuestLostException(GuestLoss loss) {
    super(loss.sentence(), loss.cause().orElse(null));
    this.loss = loss;
  }

  /** How it was lost. */
  public GuestLoss loss() {
    return loss;
  }
}
