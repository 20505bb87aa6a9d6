package dev.podflare.worker;

import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import tools.jackson.databind.JsonNode;

/**
 * What a session brings along: the skills of its agent, and its resources. All of it is checked.
 *
 * @param refused what was left out, and why, in words
 */
record Attachments(
    List<Skill> skills,
    List<Store> stores,
    List<MountedFile> files,
    List<Repository> repositories,
    List<String> refused) {

  static final Attachments NONE =
      new Attachments(List.of(), List.of(), List.of(), List.of(), List.of());

  /** Documented: a session has at most 8 memory stores, and 999 files. */
  private static final int MOST_STORES = 8;

  private static final int MOST_FILES = 999;
  private static final int MOST_SKILLS = 64;
  private static final int MOST_REPOSITORIES = 16;
  private static final int LONGEST_PATH = 1024;

  private static final String MEMORY = "/mnt/memory/";
  private static final Pattern BRANCH = Pattern.compile("[\\w][\\w./+@=-]{0,254}");
  private static final Pattern COMMIT = Pattern.compile("[0-9a-f]{40}([0-9a-f]{24})?");
  private static final Set<String> OF_THE_KERNEL = Set.of("proc", "sys", "dev");

  Attachments {
    skills = List.copyOf(skills);
    stores = List.copyOf(stores);
    files = List.copyOf(files);
    repositories = List.copyOf(repositories);
    refused = List.copyOf(refused);
  }

  /**
   * A skill of the agent.
   *
   * @param version an id, or {@code latest}
   */
  record Skill(String id, String version) {}

  /** A memory store, and where the agent is told that it is. */
  record Store(String id, String path, boolean isReadOnly) {}

  /** A file of the provider's, and where it belongs. */
  record MountedFile(String id, String path) {}

  /** A repository, where it belongs, and what of it is wanted: a branch, a commit, or neither. */
  record Repository(URI url, String path, Optional<String> branch, Optional<String> commit) {}

  boolean isEmpty() {
    return skills.isEmpty()
        && stores.isEmpty()
        && files.isEmpty()
        && repositories.isEmpty()
        && refused.isEmpty();
  }

  /**
   * Those of a session as the API shows it.
   *
   * @throws ProviderException a memory store can't be mounted; without its memory a session is not
   *     to be served
   */
  static Attachments of(JsonNode session) throws ProviderException {
    List<Skill> skills = new ArrayList<>();
    List<Store> stores = new ArrayList<>();
    List<MountedFile> files = new ArrayList<>();
    List<Repository> repositories = new ArrayList<>();
    List<String> refused = new ArrayList<>();
    for (JsonNode skill : session.path("agent").path("skills")) {
      add(skills, MOST_SKILLS, "skill", refused, () -> skill(skill));
    }
    for (JsonNode resource : session.path("resources")) {
      switch (resource.path("type").asString("")) {
        case "memory_store" -> stores.add(store(resource));
        case "file" -> add(files, MOST_FILES, "file", refused, () -> file(resource));
        case "github_repository" ->
            add(repositories, MOST_REPOSITORIES, "repository", refused, () -> repository(resource));
        case String other -> refused.add("a resource of the unknown type " + Json.said(other));
      }
    }
    checkPaths(stores);
    return new Attachments(skills, stores, files, repositories, refused);
  }

  private interface Parsed<T> {
    T get() throws ProviderException;
  }

  private static <T> void add(
      List<T> list, int most, String what, List<String> refused, Parsed<T> parsed) {
    if (list.size() == most) {
      refused.add("a " + what + " beyond the " + most + " that are taken");
      return;
    }
    try {
      list.add(parsed.get());
    } catch (ProviderException wrong) {
      refused.add("a " + what + ": " + wrong.getMessage());
    }
  }

  private static Skill skill(JsonNode skill) throws ProviderException {
    return new Skill(Json.id(skill, "skill_id"), Json.id(skill, "version"));
  }

  private static Store store(JsonNode resource) throws ProviderException {
    String id = Json.id(resource, "memory_store_id");
    String path = resource.path("mount_path").asString("");
    if (path.isEmpty()) {
      String slug =
          resource
              .path("name")
              .asString("")
              .toLowerCase(Locale.ROOT)
              .replaceAll("[^a-z0-9]+", "-")
              .replaceAll("^-|-$", "");
      path = MEMORY + (slug.isEmpty() ? id : slug);
    }
    if (!isPath(path) || !path.startsWith(MEMORY)) {
      throw ProviderException.malformed(
          "memory store "
              + id
              + " is to be mounted at "
              + Json.said(path)
              + ", not below "
              + MEMORY,
          null);
    }
    // An access that is not known is the careful one.
    String access = resource.path("access").asString("read_write");
    return new Store(id, path, !access.equals("read_write"));
  }

  private static void checkPaths(List<Store> stores) throws ProviderException {
    Set<String> paths = new HashSet<>();
    for (Store store : stores) {
      for (Store other : stores) {
        if (other.path().startsWith(store.path() + "/")) {
          throw ProviderException.malformed("one memory store is to be inside another", null);
        }
      }
      if (!paths.add(store.path()) || paths.size() > MOST_STORES) {
        throw ProviderException.malformed(
            "memory stores must have paths of their own, and be at most " + MOST_STORES, null);
      }
    }
  }

  private static MountedFile file(JsonNode resource) throws ProviderException {
    return new MountedFile(Json.id(resource, "file_id"), path(resource));
  }

  private static Repository repository(JsonNode resource) throws ProviderException {
    String url = resource.path("url").asString("");
    URI uri;
    try {
      uri = URI.create(url);
    } catch (IllegalArgumentException wrong) {
      throw ProviderException.malformed(Json.said(url) + " is not a URL", wrong);
    }
    if (!"https".equals(uri.getScheme())
        || uri.getHost() == null
        || uri.getRawUserInfo() != null
        || uri.getRawQuery() != null
        || uri.getRawFragment() != null
        || url.length() > LONGEST_PATH) {
      throw ProviderException.malformed(
          Json.said(url) + " is not https://HOST/OWNER/REPOSITORY", null);
    }
    JsonNode checkout = resource.path("checkout");
    String branch = checkout.path("name").asString("");
    String commit = checkout.path("sha").asString("").toLowerCase(Locale.ROOT);
    switch (checkout.path("type").asString("")) {
      case "branch" -> require(BRANCH.matcher(branch).matches(), "the branch", branch);
      case "commit" -> require(COMMIT.matcher(commit).matches(), "the commit", commit);
      case String other -> require(other.isEmpty(), "the checkout", other);
    }
    return new Repository(
        uri,
        path(resource),
        Optional.of(branch).filter(name -> !name.isEmpty()),
        Optional.of(commit).filter(sha -> !sha.isEmpty()));
  }

  private static void require(boolean isRight, String what, String text) throws ProviderException {
    if (!isRight) {
      throw ProviderException.malformed(what + " is not one: " + Json.said(text), null);
    }
  }

  private static String path(JsonNode resource) throws ProviderException {
    String path = resource.path("mount_path").asString("");
    if (!isPath(path) || isOfTheKernel(path)) {
      throw ProviderException.malformed(Json.said(path) + " is not a path to mount at", null);
    }
    return path;
  }

  private static boolean isOfTheKernel(String path) {
    return OF_THE_KERNEL.stream().anyMatch(top -> (path + "/").startsWith("/" + top + "/"));
  }

  /** Whether a path can be used as it is: absolute, without empty parts, dots or controls. */
  static boolean isPath(String path) {
    return path.startsWith("/") && isRelativePath(path.substring(1));
  }

  /** The same, for what comes after a directory. */
  static boolean isRelativePath(String path) {
    byte[] bytes = path.getBytes(StandardCharsets.UTF_8);
    if (path.isEmpty()
        || bytes.length > LONGEST_PATH
        || !new String(bytes, StandardCharsets.UTF_8).equals(path)
        || path.chars().anyMatch(Character::isISOControl)) {
      return false;
    }
    for (String part : path.split("/", -1)) {
      if (part.isEmpty() || part.equals(".") || part.equals("..")) {
        return false;
      }
    }
    return true;
  }
}
