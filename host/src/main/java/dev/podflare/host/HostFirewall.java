package dev.podflare.host;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Other rules of this host that packets of sandboxes meet on their way: Docker's, ufw's,
 * firewalld's, the operator's own.
 *
 * <p>What one chain accepts, the next one can still drop. So where a chain lets nothing through but
 * what its rules name, sandboxes have to be named in it. Their own policy is unharmed by that: our
 * chains stand before it.
 */
public final class HostFirewall {

  /** The devices of all sandboxes. Known to iptables too, in whose tables these rules may stand. */
  private static final String OUT_OF = "iifname \"pfv*\"";

  private static final String INTO = "oifname \"pfv*\"";

  /** Hosts with many containers or services have thousands of chains. */
  private static final int LONGEST_LIST = 16 << 20;

  private static final Pattern TABLE = Pattern.compile("table (ip|inet) (\\S+) \\{.*");
  private static final Pattern CHAIN = Pattern.compile("chain (\\S+) \\{.*");
  private static final Pattern FORWARD =
      Pattern.compile("type filter hook forward priority [^;]+;( policy (\\w+);)?.*");
  private static final Pattern LAST_WORD =
      Pattern.compile("(counter packets \\d+ bytes \\d+ )?(drop|reject)\\b.*");

  /** A rule that lets sandboxes through, ours or the operator's. */
  private static final Pattern ADMITS =
      Pattern.compile(
          "(iifname|oifname) \"pfv\\*\" (counter packets \\d+ bytes \\d+ )?accept\\b.*# handle \\d+");

  private static final Pattern OURS =
      Pattern.compile("(iifname|oifname) \"pfv\\*\" accept comment \"podflare\" # handle (\\d+)");

  private HostFirewall() {}

  /** A chain through which forwarded packets go. */
  private record Chain(String family, String table, String name, boolean dropsByPolicy) {

    String words() {
      return String.join(" ", family, table, name);
    }

    List<String> rules() throws HostException {
      return Command.of("nft", "-a", "list", "chain", family, table, name)
          .reading(LONGEST_LIST)
          .run()
          .lines()
          .map(String::strip)
          .toList();
    }

    /** Whether what no rule names ends here. */
    boolean isClosed(List<String> rules) {
      List<String> said = rules.stream().filter(rule -> rule.contains("# handle")).toList();
      return dropsByPolicy || (!said.isEmpty() && LAST_WORD.matcher(said.getLast()).matches());
    }
  }

  /**
   * The chains in which sandboxes would have to be named, and are not.
   *
   * @return family, table and name of each, as nft takes them
   */
  public static List<String> closedToSandboxes() throws HostException {
    return closed().stream().map(Chain::words).toList();
  }

  /** The commands that name sandboxes in a chain. */
  public static String remedy(String chain) {
    return "nft insert rule %1$s iifname '\"pfv*\"' accept && nft insert rule %1$s oifname '\"pfv*\"' accept"
        .formatted(chain);
  }

  /** Names sandboxes wherever they have to be. */
  static void admitSandboxes() throws HostException {
    for (Chain chain : closed()) {
      Command.of("nft", "-f", "-")
          .run(
              """
              insert rule %1$s %2$s accept comment "podflare"
              insert rule %1$s %3$s accept comment "podflare"
              """
                  .formatted(chain.words(), OUT_OF, INTO));
    }
  }

  /** Takes out what {@link #admitSandboxes} has put in. */
  static void forgetSandboxes() throws HostException {
    for (Chain chain : forwarding()) {
      StringBuilder deletions = new StringBuilder();
      for (String rule : chain.rules()) {
        Matcher ours = OURS.matcher(rule);
        if (ours.matches()) {
          deletions.append("delete rule %s handle %s\n".formatted(chain.words(), ours.group(2)));
        }
      }
      if (!deletions.isEmpty()) {
        Command.of("nft", "-f", "-").run(deletions.toString());
      }
    }
  }

  private static List<Chain> closed() throws HostException {
    List<Chain> found = new ArrayList<>();
    for (Chain chain : forwarding()) {
      List<String> rules = chain.rules();
      long named = rules.stream().filter(rule -> ADMITS.matcher(rule).matches()).count();
      if (named < 2 && chain.isClosed(rules)) {
        found.add(chain);
      }
    }
    return found;
  }

  /** The chains of others in which the kernel asks what shall become of a forwarded packet. */
  private static List<Chain> forwarding() throws HostException {
    List<Chain> found = new ArrayList<>();
    String family = "";
    String table = "";
    String name = "";
    String all = Command.of("nft", "list", "chains").reading(LONGEST_LIST).run();
    for (String line : all.lines().map(String::strip).toList()) {
      Matcher begun = TABLE.matcher(line);
      Matcher chain = CHAIN.matcher(line);
      Matcher forward = FORWARD.matcher(line);
      if (line.startsWith("table ")) {
        family = begun.matches() ? begun.group(1) : "";
        table = begun.matches() ? begun.group(2) : "";
      } else if (chain.matches()) {
        name = chain.group(1);
      } else if (forward.matches() && !family.isEmpty() && !table.equals("podflare")) {
        found.add(new Chain(family, table, name, "drop".equals(forward.group(2))));
      }
    }
    return found;
  }
}
