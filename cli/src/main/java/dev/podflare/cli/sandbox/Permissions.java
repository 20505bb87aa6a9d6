package dev.podflare.cli.sandbox;

import java.nio.file.attribute.PosixFilePermission;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.Set;

/** Permission bits of files, as octal digits and as Java has them. */
final class Permissions {

  private static final String ALL = "rwxrwxrwx";
  private static final int FIRST = 0400;

  private Permissions() {}

  /** Such as {@code 0644}. */
  static String octal(Set<PosixFilePermission> permissions) {
    String letters = PosixFilePermissions.toString(permissions);
    int mode = 0;
    for (int i = 0; i < ALL.length(); i++) {
      if (letters.charAt(i) != '-') {
        mode |= FIRST >> i;
      }
    }
    return "0" + Integer.toOctalString(mode);
  }

  static Set<PosixFilePermission> of(int mode) {
    StringBuilder letters = new StringBuilder();
    for (int i = 0; i < ALL.length(); i++) {
      letters.append((mode & (FIRST >> i)) == 0 ? '-' : ALL.charAt(i));
    }
    return PosixFilePermissions.fromString(letters.toString());
  }
}
