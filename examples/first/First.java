import dev.podflare.sdk.Podflare;
import dev.podflare.sdk.Sandbox;

class First {
  public static void main(String[] arguments) {
    try (Sandbox sandbox = Podflare.create()) {
      sandbox.run("import math; x = 20");
      System.out.println(sandbox.run("math.factorial(x)").text().orElseThrow());
      System.out.println(sandbox.run("1 / 0").error().orElseThrow().name());
      System.out.println(sandbox.bash("uname -r").stdout());
    }
  }
}
